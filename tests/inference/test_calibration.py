"""Calibration: p-values a person can count, and alarm rates that hold."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.calibration import (
    ENOUGH,
    Calibration,
    CalibrationError,
    FieldScore,
    Provenance,
    Reference,
    StackRecord,
    read_calibration,
)
from inference.calibration_fit import Image, fit, fit_populations

PROVENANCE = Provenance(source="site", kind="real", created="2026-01-02T03:04:05Z", bundle_sha256="a" * 64)


def score(nats: float, *, of: str = "T2", group: str = "spin-echo", field: str = "contrast") -> FieldScore:
    return FieldScore(field=field, evidence_nats=nats, calibration_class=of, calibration_group=group)


def stack(*scores: FieldScore, distance: float | None = None) -> StackRecord:
    return StackRecord(scores=scores, gate_distance=distance)


def one_each(values: list[float], **where: str) -> list[list[StackRecord]]:
    return [[stack(score(value, **where))] for value in values]


def p_value(calibration: Calibration, series: list[StackRecord]) -> float:
    """What a node does with a series: G of its largest surprise."""
    verdicts = [calibration.verdict(found) for record in series for found in record.scores]
    return calibration.p_value(max((verdict.surprise_nats for verdict in verdicts if verdict), default=0.0))


def test_a_p_value_counts_the_clean_series_with_as_much_evidence() -> None:
    reference = Reference(nats=(-3.0, -1.0, -1.0, 2.0))
    assert [reference.p_value(nats) for nats in (-4.0, -3.0, -2.9, -1.0, 0.0, 2.0, 2.1)] == [
        1.0, 1.0, 4 / 5, 4 / 5, 2 / 5, 2 / 5, 1 / 5,
    ]  # fmt: skip


def test_surprise_goes_on_where_the_p_value_ends() -> None:
    # 0 to 100: median 50, 90th percentile 90, so the tail's scale is 40 / ln 5.
    reference = Reference(nats=tuple(float(value) for value in range(101)))
    assert reference.spread_nats == pytest.approx(40 / math.log(5))
    assert reference.surprise(100.0) == pytest.approx(-math.log(2 / 102))
    assert reference.surprise(100.0 + 40) == pytest.approx(-math.log(1 / 102) + math.log(5))


def test_a_member_is_compared_with_the_others() -> None:
    reference = Reference(nats=(0.0, 1.0, 1.0, 5.0))
    assert reference.surprise_of_member(0.0, [0.0]) == pytest.approx(-math.log(4 / 5))
    assert reference.surprise_of_member(1.0, [1.0]) == pytest.approx(-math.log(3 / 5))
    assert reference.surprise_of_member(5.0, [5.0]) == pytest.approx(-math.log(1 / 5) + 4 / reference.spread_nats)


def test_a_member_is_not_compared_with_its_own_image_under_other_headers() -> None:
    reference = Reference(nats=(0.0, 1.0, 4.0, 5.0))
    assert reference.surprise_of_member(4.0, [4.0, 5.0]) == pytest.approx(-math.log(1 / 5) + 3 / reference.spread_nats)
    assert reference.surprise_of_member(5.0, [0.0, 5.0]) == pytest.approx(-math.log(1 / 5) + 1 / reference.spread_nats)
    assert reference.surprise_of_member(0.0, [0.0, 5.0]) == pytest.approx(-math.log(3 / 5))
    assert reference.surprise_of_member(5.0, reference.nats) == pytest.approx(-math.log(1 / 5))  # nobody else


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=40), st.floats(-60, 60), st.floats(-60, 60))
def test_more_evidence_is_never_less_surprising(values: list[float], one: float, other: float) -> None:
    reference = Reference(nats=tuple(sorted(values)))
    low, high = sorted((one, other))
    assert reference.surprise(low) <= reference.surprise(high)
    assert reference.p_value(low) >= reference.p_value(high)
    calibration = fit(one_each(values), PROVENANCE)
    assert p_value(calibration, [stack(score(low))]) >= p_value(calibration, [stack(score(high))])
    surprises = [reference.surprise(low), reference.surprise(high)]
    scores = [calibration.score(surprise) for surprise in surprises]
    assert 0 <= scores[0] <= scores[1] <= 1


def test_a_small_class_borrows_from_its_group_and_then_from_all() -> None:
    clean = [
        *one_each([float(v) for v in range(ENOUGH)], of="T2"),
        *one_each([float(v) for v in range(ENOUGH - 1)], of="STIR"),
        *one_each([float(v) for v in range(ENOUGH - 1)], of="T2_STAR", group="gradient-echo"),
    ]
    calibration = fit(clean, PROVENANCE)

    def compared_with(**where: str) -> tuple[str, float]:
        verdict = calibration.verdict(score(1000.0, **where))
        assert verdict is not None
        return verdict.level, verdict.p_value

    assert compared_with(of="T2") == ("class", 1 / (ENOUGH + 1))
    assert compared_with(of="STIR") == ("group", 1 / (2 * ENOUGH))
    assert compared_with(of="T1") == ("group", 1 / (2 * ENOUGH))
    assert compared_with(of="T2_STAR", group="gradient-echo") == ("all", 1 / (3 * ENOUGH - 1))
    assert calibration.verdict(score(0.0, field="plane")) is None


def test_a_calibration_series_is_compared_with_those_a_new_one_would_be() -> None:
    # The only STIR borrows from the 100 of its group, of which 10 others have as much evidence or more.
    clean = [*one_each([float(v) for v in range(ENOUGH)], of="T2"), *one_each([88.5], of="STIR")]
    assert -math.log((1 + 10) / 101) in fit(clean, PROVENANCE).surprises_nats


def test_claims_with_and_without_an_agent_are_not_compared() -> None:
    clean = [*one_each([0.0], of="T1/YES", group="spin-echo/YES"), *one_each([9.0], of="T1/NO", group="spin-echo/NO")]
    calibration = fit(clean, PROVENANCE)
    verdict = calibration.verdict(score(5.0, of="T2/YES", group="epi/YES"))
    assert verdict is not None
    assert (verdict.level, verdict.p_value) == ("all", 1 / 2)


def test_a_series_counts_once_with_its_worst_stack() -> None:
    calibration = fit([[stack(score(1.0)), stack(score(3.0)), stack(score(2.0))]], PROVENANCE)
    assert calibration.populations[0]["contrast"]["T2"].nats == (3.0,)


def test_no_clean_series_is_no_calibration() -> None:
    with pytest.raises(CalibrationError, match="no clean series"):
        fit([], PROVENANCE)
    with pytest.raises(CalibrationError, match="no clean series"):
        fit_populations([[], [[]]], PROVENANCE)


def each_its_own(values: list[float], **where: str) -> list[Image]:
    return [[series] for series in one_each(values, **where)]


def test_two_populations_weigh_the_same_however_many_series_each_has() -> None:
    many, few = [float(v) for v in range(999)], [float(v) for v in range(900, 1000)]
    calibration = fit_populations([each_its_own(many), each_its_own(few)], PROVENANCE)
    verdict = calibration.verdict(score(990.0))
    assert verdict is not None
    assert verdict.p_value == pytest.approx((10 / 1000 + 11 / 101) / 2)
    assert verdict.surprise_nats == pytest.approx(-math.log(verdict.p_value))
    assert len(calibration.surprises_nats) == 999 + 100


def test_a_verdict_names_the_farthest_series_that_it_was_compared_with() -> None:
    many, few = [float(v) for v in range(ENOUGH)], [1.0]
    calibration = fit_populations([each_its_own(many), each_its_own(few, of="STIR")], PROVENANCE)
    verdict = calibration.verdict(score(0.5))
    assert verdict is not None
    assert verdict.level == "all"
    # beside 98 of 99 of its class, and one of one of another
    assert verdict.p_value == pytest.approx((99 / 100 + 2 / 2) / 2)


def test_a_field_that_one_population_says_nothing_of_is_compared_with_the_other() -> None:
    calibration = fit_populations([each_its_own([1.0, 2.0]), each_its_own([5.0], field="plane")], PROVENANCE)
    verdict = calibration.verdict(score(4.0, field="plane"))
    assert verdict is not None
    assert verdict.p_value == 1.0
    assert fit_populations([each_its_own([1.0]), []], PROVENANCE) == fit(one_each([1.0]), PROVENANCE)


def test_the_gate_lets_the_stated_share_of_clean_stacks_through() -> None:
    clean = [[stack(score(float(v)), distance=float(v))] for v in range(200)]
    calibration = fit(clean, PROVENANCE, gate_rate=0.05)
    # The 191st of 200: ceil(201 x 0.95). What lies beyond gives no evidence.
    assert calibration.gate_distance == 190.0
    assert calibration.populations[0]["contrast"]["all"].nats[-1] == 190.0
    assert len(calibration.surprises_nats) == 200
    assert fit(clean, PROVENANCE).gate_distance is None
    assert fit(one_each([1.0]), PROVENANCE, gate_rate=0.05).gate_distance is None


def test_a_calibration_comes_back_from_its_json_with_the_same_digest() -> None:
    rng = np.random.default_rng(0)
    clean = [[stack(score(round(float(v), 4)), distance=0.1)] for v in rng.normal(size=120)]
    calibration = fit([*clean, []], PROVENANCE, gate_rate=0.01)
    again = read_calibration(calibration.to_json())
    assert again == calibration
    assert again.sha256 == calibration.sha256
    document = json.loads(calibration.to_json())
    assert (document["schema"], document["bundle_sha256"], document["series"]) == (
        "mrclip.calibration/1",
        "a" * 64,
        121,
    )
    assert document["fields"]["contrast"]["T2"]["n"] == 120


def test_populations_come_back_from_json_too() -> None:
    calibration = fit_populations([each_its_own([1.0, 2.0]), each_its_own([3.0])], PROVENANCE)
    assert read_calibration(calibration.to_json()) == calibration
    document = json.loads(calibration.to_json())
    assert [one["fields"]["contrast"]["T2"]["nats"] for one in document["populations"]] == [[1.0, 2.0], [3.0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"populations": [{"fields": {"contrast": {"T2": {"n": 1}}}}]}, "not a calibration"),
        ({"populations": []}, "at least one population"),
        ({"schema": "mrclip.calibration/2"}, "schema is 'mrclip.calibration/2'"),
        ({"surprises_nats": []}, "at least one"),
        ({"surprises_nats": [2.0, 1.0]}, "ascending"),
        ({"surprises_nats": [float("nan")]}, "finite"),
        ({"fields": {"contrast": {"T2": {"n": 1}}}}, "not a calibration"),
        ({"fields": None}, "not a calibration"),
        ({"expected": None}, "not a calibration"),
        ({"expected": {"power": -1.0, "middle": 0.1, "farthest": 0.2}}, "power must be at least 0"),
        ({"expected": {"power": "1", "middle": 0.1, "farthest": 0.2}}, "not a calibration"),
    ],
)
def test_a_calibration_that_cannot_be_meant_is_refused(change: dict[str, object], message: str) -> None:
    document = {**json.loads(fit(one_each([1.0, 2.0]), PROVENANCE).to_json()), **change}
    with pytest.raises(CalibrationError, match=message):
        read_calibration(json.dumps(document).encode())


CLASSES = {"T1": "spin-echo", "T2": "spin-echo", "DIFFUSION": "epi", "T2_STAR": "gradient-echo"}


def random_series(rng: np.random.Generator, heavy: bool) -> list[StackRecord]:
    """One to three stacks of random classes, four fields each with gaps, dependent within a series, unlike by class."""
    shared = rng.normal()
    stacks: list[StackRecord] = []
    for _ in range(1 + rng.integers(3)):
        label = str(rng.choice(list(CLASSES), p=[0.5, 0.3, 0.15, 0.05]))
        values = rng.standard_t(2, 4) if heavy else rng.normal(size=4)
        scores = [
            score(
                round(float(3 * (value + shared / 2) + 5 * len(label)), 4), of=label, group=CLASSES[label], field=field
            )
            for field, value in zip(("contrast", "plane", "EchoTime_ms", "ImageKind"), values, strict=True)
            if rng.random() < 0.8
        ]
        stacks.append(stack(*scores))
    return stacks


@pytest.mark.parametrize(("heavy", "size"), [(False, 150), (False, 600), (True, 150), (True, 600)])
def test_clean_series_alarm_at_most_at_the_stated_rate(heavy: bool, size: int) -> None:
    """Under exchangeability; 5 calibrations with 400 new series each, so 2,000 draws, 4 standard errors allowed."""
    rng = np.random.default_rng(size + heavy)
    p_values: list[float] = []
    for _ in range(5):
        calibration = fit([random_series(rng, heavy) for _ in range(size)], PROVENANCE)
        p_values += [p_value(calibration, random_series(rng, heavy)) for _ in range(400)]
    for rate in (0.01, 0.05, 0.2):
        # The rate of one calibration itself varies like a Beta(rate N, (1 - rate) N).
        error = math.sqrt(rate * (1 - rate) * (1 / 2000 + 1 / (5 * size)))
        share = float(np.mean(np.array(p_values) <= rate))
        assert share <= rate + 4 * error
        assert share >= rate - 4 * error - 1 / (size + 1)  # and the alarm budget is used


def test_few_images_under_many_headers_alarm_at_most_at_the_stated_rate() -> None:
    """What an image shows is the same under all of its headers: it must not vouch for itself."""
    rng = np.random.default_rng(7)
    rate, images = 0.02, 60
    p_values: list[float] = []

    def image() -> Image:
        shown = 10 * rng.normal(size=4)
        return [
            [stack(*(score(float(rng.normal(mean, 0.1)), field=f"field-{n}") for n, mean in enumerate(shown)))]
            for _ in range(8)
        ]

    for _ in range(20):
        calibration = fit_populations([[image() for _ in range(images)]], PROVENANCE)
        p_values += [p_value(calibration, list(image()[0])) for _ in range(100)]
    error = math.sqrt(rate * (1 - rate) * (1 / len(p_values) + 1 / (20 * images)))
    assert float(np.mean(np.array(p_values) <= rate)) <= rate + 4 * error


def test_an_alarm_at_one_percent_is_possible_although_every_class_is_small() -> None:
    """The smallest of the field p-values alone would bottom out at 1 / 101 in about 4 of 100 clean series."""
    rng = np.random.default_rng(3)
    calibration = fit([random_series(rng, False) for _ in range(200)], PROVENANCE)
    wrong = [stack(score(60.0, of="T1", group="spin-echo"), *random_series(rng, False)[0].scores)]
    assert p_value(calibration, wrong) <= 0.01
