"""Surprise in units of what is expected at a distance."""

import math

import numpy as np
import pytest

from inference.calibration import FieldScore, Provenance, StackRecord, read_calibration
from inference.calibration_fit import fit
from inference.expected import EVEN, Expected, expected

PROVENANCE = Provenance(source="site", kind="real", created="2026-01-02T03:04:05Z", bundle_sha256="a" * 64)


def test_the_power_of_drawn_surprises_is_found() -> None:
    rng = np.random.default_rng(0)
    distances = rng.uniform(0.02, 0.3, 4000)
    found = expected(rng.exponential(2.0 * (distances / 0.1) ** 0.5).tolist(), distances.tolist())
    assert found.power == pytest.approx(0.5, abs=0.08)
    assert found.middle == pytest.approx(math.exp(np.log(distances).mean()))
    assert found.farthest == pytest.approx(distances.max())


def test_a_surprise_counts_as_at_the_mean_distance() -> None:
    scale = Expected(power=0.5, middle=0.1, farthest=0.4)
    assert scale.relative(3.0, 0.1) == pytest.approx(3.0)
    assert scale.relative(3.0, 0.4) == pytest.approx(1.5)
    assert scale.relative(3.0, 0.9) == pytest.approx(1.5)  # nothing is known of so far away
    assert scale.relative(3.0, 0.025) == pytest.approx(6.0)
    assert scale.relative(3.0, 0.0) == scale.relative(3.0, 0.01)
    assert scale.relative(3.0, None) == 3.0


@pytest.mark.parametrize("power", [2.0, 0.0])
def test_far_stacks_are_never_held_to_less_than_near_ones(power: float) -> None:
    """Where near ones happen to be wilder, it stays even."""
    rng = np.random.default_rng(1)
    distances = rng.uniform(0.02, 0.3, 500)
    found = expected(rng.exponential((distances / 0.1) ** -power).tolist(), distances.tolist())
    assert found.power < 0.1


@pytest.mark.parametrize("surprises", [[], [0.0, 0.0], [1.0, 2.0]])
def test_without_a_difference_it_is_the_same_everywhere(surprises: list[float]) -> None:
    assert expected(surprises, [0.1] * len(surprises)) == EVEN
    assert EVEN.relative(3.0, 0.7) == 3.0


@pytest.mark.parametrize("wrong", [{"power": -1.0}, {"power": math.nan}, {"middle": 0.0}, {"farthest": 0.05}])
def test_what_cannot_be_meant_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected surprise has power"):
        Expected(**{"power": 0.5, "middle": 0.1, "farthest": 0.4, **wrong})


def record(nats: float, distance: float) -> StackRecord:
    score = FieldScore(field="contrast", evidence_nats=nats, calibration_class="T2", calibration_group="spin-echo")
    return StackRecord(scores=(score,), gate_distance=distance)


def drawn(rng: np.random.Generator, count: int, far: float) -> list[list[StackRecord]]:
    """Clean series of one stack, at a distance around `far`, wilder the farther."""
    distances = far * rng.uniform(0.5, 1.5, count)
    return [[record(float(rng.exponential(30 * d)), float(d))] for d in distances]


def test_alarms_hold_far_away_too_and_without_it_they_do_not() -> None:
    """Clean series at thrice the distance of most: at most as many alarms as stated, where before it were many more."""
    rng = np.random.default_rng(2)
    clean = [*drawn(rng, 900, 0.05), *drawn(rng, 100, 0.15)]
    calibration = fit(clean, PROVENANCE)
    assert calibration.expected.power > 0.3
    assert read_calibration(calibration.to_json()) == calibration
    alarms = {True: 0, False: 0}
    for (stack,) in drawn(rng, 1000, 0.15):
        verdict = calibration.verdict(stack.scores[0])
        assert verdict is not None
        for relative in alarms:
            distance = stack.gate_distance if relative else None
            alarms[relative] += calibration.p_value(verdict.surprise_nats, distance) <= 0.05
    assert alarms[True] <= 110
    assert alarms[False] >= 2 * alarms[True]
