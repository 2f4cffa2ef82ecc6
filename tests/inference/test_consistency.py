"""Headers against images: with the tiny bundle, whose towers are the signal equation, right and wrong are known."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

import dicom_factory
import tiny_bundle
from clean_protocols import ENHANCED_MR_IMAGE
from inference.bundle import Bundle, write_bundle
from inference.calibration import CalibrationError, Provenance
from inference.calibration_fit import fit
from inference.captions import Caption, Value
from inference.claims import Claim
from inference.consistency import Judgement, group, judge
from inference.contrast import infer
from inference.counterfactual import Counterfactuals
from inference.elements import attribute
from inference.gate import FARTHEST, NearestNeighbours
from inference.grid import Grid, GridRow, mean_embedding
from inference.image_findings import Doubt, image_findings
from inference.judged import JUDGED
from inference.manifest import BundleError
from inference.model import Model, load_model
from inference.read import Reader, read_paths
from inference.reading import Estimate
from tiny_bundle import embed, protocol

FIELDS = {field.name: field for field in JUDGED}
ALARM_RATE = 0.01


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle.write(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> Model:
    return load_model(bundle, threads=1)


def judged(model: Model, image: Caption, header: Caption, *, seed: int = 3, **recorded: Any) -> Judgement:
    """An image of one protocol under the header of another."""
    return judge(
        embed(model, image, seed=seed),
        model=model,
        stack=tiny_bundle.stack(header, **recorded),
        claim=tiny_bundle.claim(header),
        alarm_rate=ALARM_RATE,
    )


# ---- an image under its own header


@pytest.mark.parametrize("contrast", tiny_bundle.PROTOCOLS)
def test_a_right_header_raises_no_alarm(model: Model, contrast: str) -> None:
    judgement = judged(model, protocol(contrast), protocol(contrast))
    assert (judgement.status, judgement.reason, judgement.findings) == ("read", None, ())
    assert judgement.contrast is not None
    assert judgement.contrast.label == contrast
    assert judgement.p_value is not None
    assert judgement.p_value > ALARM_RATE
    assert 0 <= judgement.score < 1 - ALARM_RATE


def test_clean_series_alarm_at_the_stated_rate_and_are_read(model: Model) -> None:
    """400 unseen clean series; at most 1 % plus four standard errors of both sets may be flagged or abstained."""
    clean = tiny_bundle.clean_series(400, first_seed=50_000)
    judgements = [judged(model, caption, caption, seed=seed) for seed, caption in enumerate(clean, start=50_000)]
    allowed = 0.01 + 4 * math.sqrt(0.01 * 0.99 * (1 / 400 + 1 / 1200))
    assert np.mean([j.p_value is not None and j.p_value <= ALARM_RATE for j in judgements]) <= allowed
    assert np.mean([j.status == "abstained" for j in judgements]) <= allowed
    read = [(j.contrast.label, caption.contrast) for j, caption in zip(judgements, clean, strict=True) if j.contrast]
    assert np.mean([label == truth for label, truth in read]) >= 0.95


def test_what_an_eye_cannot_see_does_not_count(model: Model) -> None:
    """Echo time 90 ms recorded as 100 ms: no more alarms than clean series have."""
    flagged = [
        judged(
            model, protocol("T2", EchoTime_ms=90.0, seed=seed), protocol("T2", EchoTime_ms=100.0, seed=seed), seed=seed
        ).findings
        != ()
        for seed in range(100)
    ]
    assert sum(flagged) <= 5


# ---- an image under a wrong header: every field that can be wrong, found where it is wrong

WRONG: dict[str, tuple[Caption, Caption, str, str]] = {
    "description": (protocol("T2"), protocol("T2", contrast="T1"), "image-contrast", "T2"),
    "echo time": (protocol("T2"), protocol("T2", EchoTime_ms=8.0), "image-echo-time", "echo time about 100 ms"),
    "unit": (protocol("T2"), protocol("T2", EchoTime_ms=0.1), "image-echo-time", "echo time about 100 ms"),
    "repetition time": (
        protocol("T1"), protocol("T1", RepetitionTime_ms=5000.0),
        "image-repetition-time", "repetition time about 550 ms",
    ),
    "inversion time dropped": (
        protocol("FLUID_ATTENUATED"), protocol("FLUID_ATTENUATED", InversionTime_ms=None),
        "image-inversion-time", "inversion time about 2400 ms",
    ),
    "inversion time swapped": (
        protocol("FLUID_ATTENUATED"), protocol("FLUID_ATTENUATED", InversionTime_ms=150.0),
        "image-inversion-time", "inversion time about 2400 ms",
    ),
    "b-value": (
        protocol("DIFFUSION"), protocol("DIFFUSION", b_value_s_mm2=0.0), "image-b-value", "b-value about 1000 s/mm2",
    ),
    "agent": (protocol("T1", post_contrast=True), protocol("T1"), "image-contrast-agent", "with contrast agent"),
    "agent not marked": (
        protocol("T1", post_contrast=True), protocol("T1", post_contrast=None),
        "image-contrast-agent", "with contrast agent",
    ),
    "fat suppression": (
        protocol("T2", fat_suppressed=True), protocol("T2"), "image-fat-suppression", "with fat suppression",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_field_is_named(model: Model, name: str) -> None:
    image, header, code, expected = WRONG[name]
    judgement = judged(model, image, header)
    assert judgement.p_value is not None
    assert judgement.p_value <= ALARM_RATE
    assert judgement.score > 0.99
    finding = next(found for found in judgement.findings if found.code == code)
    assert finding.expected is not None
    assert finding.expected.startswith(expected)
    assert (finding.source, finding.severity) == ("image", "warning")
    assert finding.tag == attribute(finding.attribute).text


def test_a_number_inside_the_interval_of_the_reading_is_not_held_against_the_header(model: Model) -> None:
    image = protocol("T1", seed=4)
    shown = judged(model, image, image).estimates
    seen = mean_embedding(embed(model, image, seed=3))

    def evidence(header: Caption, field: str) -> float:
        (found,) = (one.evidence_nats for one in judged(model, image, header).evidence if one.field == field)
        return found

    doubted = 0
    for field in ("EchoTime_ms", "RepetitionTime_ms"):
        for value in np.linspace(shown[field].low, shown[field].high, 9).tolist():
            header = replace(image, **{field: value})
            assert evidence(header, field) <= 0
            doubted += model.counterfactuals.log_odds(seen, header)[field] > 0
    assert doubted  # some lie between two heaps of values
    assert evidence(replace(image, EchoTime_ms=3 * shown["EchoTime_ms"].high), "EchoTime_ms") > 0


def test_a_whole_header_of_another_series_is_found(model: Model) -> None:
    judgement = judged(model, protocol("T2", seed=1), protocol("T1", seed=2))
    assert {found.code for found in judgement.findings} >= {
        "image-contrast",
        "image-echo-time",
        "image-repetition-time",
    }


def test_every_pair_of_whole_headers_is_found(model: Model) -> None:
    missed = [
        (image, header)
        for image in tiny_bundle.PROTOCOLS
        for header in tiny_bundle.PROTOCOLS
        if image != header and judged(model, protocol(image), protocol(header)).findings == ()
    ]
    assert missed == []


def test_the_sentences_say_what_is_seen_and_what_is_recorded(model: Model) -> None:
    by_text = judged(model, protocol("T2"), protocol("T2", contrast="T1"), series_description="t1 tse ax").findings[0]
    assert by_text.message == (
        "The image looks like T2 (0.97); SeriesDescription (0008,103E) is 't1 tse ax', which claims T1"
    )
    assert (by_text.recorded, by_text.expected) == ("t1 tse ax", "T2")
    assert by_text.suggestion == "Check SeriesDescription: expected T2"
    by_number = judged(model, protocol("T2"), protocol("T2", EchoTime_ms=8.0)).findings[0]
    assert by_number.message == (
        "The image looks like T2 (0.97) with echo time 80 to 120 ms; EchoTime (0018,0081) is 8 ms"
    )
    assert (by_number.recorded, by_number.expected) == ("8", "echo time about 100 ms (80 to 120 ms)")
    absent = judged(model, protocol("FLUID_ATTENUATED"), protocol("FLUID_ATTENUATED", InversionTime_ms=None))
    assert absent.findings[0].message.endswith("; InversionTime (0018,0082) is absent")
    assert absent.findings[0].recorded is None


@pytest.mark.parametrize(
    ("image", "header", "recorded", "says"),
    [
        (protocol("T2"), protocol("T2", EchoTime_ms=8.0), {}, "EffectiveEchoTime (0018,9082) is 8 ms"),
        (
            protocol("FLUID_ATTENUATED"), protocol("FLUID_ATTENUATED", InversionTime_ms=None), {},
            "InversionTimes (0018,9079) is absent",
        ),
        (
            protocol("T1"), protocol("T1", post_contrast=True), {"contrast_bolus_agent": "Gadovist"},
            "ContrastBolusAgentSequence (0018,0012) is 'Gadovist', which claims with contrast agent",
        ),
        (
            protocol("T2", fat_suppressed=True), protocol("T2", fat_suppressed=False), {},
            "SpectrallySelectedSuppression (0018,9025) is absent, which claims without fat suppression",
        ),
    ],
)  # fmt: skip
def test_enhanced_objects_are_told_the_attributes_they_have(
    model: Model, image: Caption, header: Caption, recorded: dict[str, Any], says: str
) -> None:
    claim = tiny_bundle.claim(header)
    judgement = judge(
        embed(model, image, seed=3),
        model=model,
        stack=tiny_bundle.stack(header, sop_class_uid=ENHANCED_MR_IMAGE, **recorded),
        claim=replace(claim, basis=("ContrastBolusAgent",) if recorded else ()),
        alarm_rate=ALARM_RATE,
    )
    finding = judgement.findings[0]
    assert finding.message.endswith(f"; {says}")
    assert f"{finding.attribute} {finding.tag} " in says
    assert finding.suggestion is not None
    assert finding.suggestion.startswith(f"Check {finding.attribute}: ")


def test_the_sequence_of_an_enhanced_object_is_recorded_as_it_writes_it() -> None:
    header = tiny_bundle.stack(
        protocol("T2"), sop_class_uid=ENHANCED_MR_IMAGE, scanning_sequence=(), echo_pulse_sequence="SPIN"
    ).header
    doubt = Doubt(field=FIELDS["ScanningSequence"], claimed="SE", p_value=None, severity="info")
    (finding,) = image_findings([doubt], shown=None, header=header, claim=tiny_bundle.claim(protocol("T2")))
    assert (finding.attribute, finding.recorded) == ("EchoPulseSequence", "SPIN")
    assert finding.message.endswith("; EchoPulseSequence (0018,9008) is SPIN")


def test_a_number_inside_the_quoted_interval_is_not_said_to_lie_outside(model: Model) -> None:
    """Nothing of the interval is said where a doubt is left after all, nor an interval that the number fits."""
    shown = infer(embed(model, protocol("T2"), seed=3), model.grid)
    estimate = Estimate(value=100.0, low=40.0, high=180.0, coverage=0.9)
    shown = replace(shown, estimates={"EchoTime_ms": estimate})

    def said(echo_time_ms: float) -> str:
        header = tiny_bundle.stack(protocol("T2", EchoTime_ms=echo_time_ms)).header
        doubt = Doubt(field=FIELDS["EchoTime_ms"], claimed=echo_time_ms, p_value=0.001, severity="warning")
        (finding,) = image_findings([doubt], shown=shown, header=header, claim=tiny_bundle.claim(protocol("T2")))
        return f"{finding.message}. {finding.suggestion}"

    assert said(50.0) == (
        "The image fits the echo time of its header worse than other images do; EchoTime (0018,0081) is 50 ms. "
        "Check EchoTime against the protocol"
    )
    assert "with echo time 40 to 180 ms; EchoTime (0018,0081) is 30 ms" in said(30.0)


def test_a_contrast_that_the_timing_claims_is_doubted_by_its_timing(model: Model) -> None:
    shown = infer(embed(model, protocol("T2"), seed=3), model.grid)
    header = tiny_bundle.stack(protocol("T1"), inversion_time_ms=None, echo_time_ms=12.0, repetition_time_ms=550.0)
    basis = ("EchoTime", "RepetitionTime", "InversionTime", "ScanningSequence", "ScanOptions")
    claim = replace(tiny_bundle.claim(protocol("T1")), basis=basis)
    doubt = Doubt(field=FIELDS["contrast"], claimed="T1", p_value=0.001, severity="warning")
    (finding,) = image_findings([doubt], shown=shown, header=header.header, claim=claim)
    assert finding.message == (
        "The image looks like T2 (0.97); EchoTime (0018,0081) is 12 ms, RepetitionTime (0018,0080) is 550 ms and "
        "ScanningSequence (0018,0020) is SE, the timing of T1"
    )
    assert (finding.attribute, finding.recorded, finding.expected) == ("EchoTime", "12", "the timing of T2")
    assert finding.suggestion == "Check EchoTime, RepetitionTime and ScanningSequence against the protocol"


def test_evidence_says_whom_it_was_compared_with(model: Model) -> None:
    evidence = {found.field: found for found in judged(model, protocol("T1"), protocol("T1")).evidence}
    contrast, agent = evidence["contrast"], evidence["post_contrast"]
    assert (contrast.claimed, contrast.calibration_class, contrast.calibration_group) == ("T1", "T1", "spin-echo")
    assert contrast.compared_with == "class"
    assert (agent.claimed, agent.calibration_class, agent.calibration_group) == (False, "T1/NO", "spin-echo/NO")
    assert evidence["InversionTime_ms"].calibration_class == "T1/absent"
    assert all(0 < found.score < 1 for found in evidence.values())
    assert "plane" not in evidence  # neither the grid nor the metadata tower knows it


def test_a_header_that_claims_nothing_has_evidence_on_its_numbers_only(model: Model) -> None:
    judgement = judged(model, protocol("T2"), protocol("T2", contrast=None, post_contrast=None, fat_suppressed=None))
    assert {found.field for found in judgement.evidence}.isdisjoint({"contrast", "post_contrast", "fat_suppressed"})
    assert {found.calibration_class for found in judgement.evidence} == {"UNKNOWN", "UNKNOWN/absent"}
    assert {found.compared_with for found in judgement.evidence} == {"group"}


def test_silence_about_an_agent_is_a_claim_in_t1_alone(model: Model) -> None:
    def claimed(contrast: str) -> Value | None:
        found = judged(model, protocol(contrast), protocol(contrast, post_contrast=None)).evidence
        return next((one.claimed for one in found if one.field == "post_contrast"), None)

    assert (claimed("T1"), claimed("T2")) == (False, None)


def test_a_claim_the_grid_cannot_make_is_not_judged(model: Model) -> None:
    judgement = judged(model, protocol("T2"), protocol("T2", contrast="PERFUSION"))
    assert "contrast" not in {found.field for found in judgement.evidence}


@pytest.mark.parametrize(
    ("value", "basis", "judges_contrast"),
    [("ORIGINAL", "ImageType", False), ("ORIGINAL", "SeriesDescription", True), ("DERIVED", "ImageType", True)],
)
def test_a_scanners_perfusion_is_a_contrast_of_derived_images_and_a_use_of_original_ones(
    bundle: Bundle, tmp_path: Path, value: str, basis: str, judges_contrast: bool
) -> None:
    grid = json.loads(bundle.read("label_grid.json"))
    row = next(row for row in grid["rows"] if row["contrast"] == "DIFFUSION")
    grid["rows"].append({**row, "contrast": "PERFUSION", "caption": {**row["caption"], "contrast": "PERFUSION"}})
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    files["label_grid.json"] = json.dumps(grid).encode()
    knows = load_model(write_bundle(tmp_path / "knows", replace(bundle.manifest, files={}), files), threads=1)
    header = protocol("T2", contrast="PERFUSION")
    evidence = judge(
        embed(knows, protocol("T2"), seed=3),
        model=knows,
        stack=tiny_bundle.stack(header, image_type=(value, "PRIMARY", "ASL")),
        claim=replace(tiny_bundle.claim(header), basis=(basis,)),
        alarm_rate=ALARM_RATE,
    ).evidence
    assert ("contrast" in {found.field for found in evidence}) is judges_contrast
    assert {found.calibration_class.partition("/")[0] for found in evidence} == {"PERFUSION"}


# ---- abstaining


def strange(model: Model) -> Judgement:
    images = [tiny_bundle.strange(seed=seed, size_px=tiny_bundle.SIZE_PX) for seed in range(3)]
    header = protocol("T1")
    return judge(
        model.encoder.encode_images(tiny_bundle.prepared(images)),
        model=model,
        stack=tiny_bundle.stack(header),
        claim=tiny_bundle.claim(header),
        alarm_rate=ALARM_RATE,
    )


def test_an_image_like_none_the_model_knows_is_out_of_domain(model: Model) -> None:
    judgement = strange(model)
    assert judgement.reason is not None
    assert (judgement.status, judgement.reason.code) == ("abstained", "out-of-domain")
    assert (judgement.contrast, judgement.estimates, judgement.evidence, judgement.findings) == (None, {}, (), ())
    assert (judgement.score, judgement.p_value) == (0.0, None)
    assert judgement.record.scores == ()
    assert judgement.record.gate_distance is not None
    assert strange(replace(model, gate=None)).status == "read"


def _never_sure(model: Model) -> Model:
    """The same model with a bundle that holds no contrast likely enough."""
    content = replace(model.bundle.manifest, minimum_probability=math.nextafter(1.0, 0.0))
    return replace(model, bundle=replace(model.bundle, manifest=content))


def test_an_answer_that_is_not_likely_enough_is_not_given(model: Model) -> None:
    judgement = judged(_never_sure(model), protocol("T2"), protocol("T2"))
    assert judgement.reason is not None
    assert (judgement.status, judgement.reason.code) == ("abstained", "low-confidence")
    assert (judgement.contrast, judgement.estimates, judgement.findings) == (None, {}, ())


@pytest.mark.parametrize(
    ("image", "header"), [(image, header) for image, header, *_ in WRONG.values()], ids=list(WRONG)
)
def test_a_header_is_contradicted_by_an_image_whose_contrast_is_not_sure(
    model: Model, image: Caption, header: Caption
) -> None:
    """The same evidence and the same alarm as where the contrast is answered; but not what it is instead."""
    unsure = judged(_never_sure(model), image, header)
    sure = judged(model, image, header)
    assert (unsure.status, unsure.contrast, unsure.estimates) == ("abstained", None, {})
    assert (unsure.evidence, unsure.score, unsure.p_value) == (sure.evidence, sure.score, sure.p_value)
    assert unsure.record == sure.record
    assert sure.findings != ()
    (finding,) = unsure.findings
    assert finding.expected is None
    assert finding.p_value is not None
    assert "looks like" not in finding.message


def test_the_gate_measures_the_kth_neighbour() -> None:
    reference = np.eye(3, dtype=np.float32)
    towards_first = np.array([2.0, 0.0, 0.0])  # any length
    assert NearestNeighbours(reference=reference, neighbours=1).distance(towards_first) == 0.0
    assert NearestNeighbours(reference=reference, neighbours=2).distance(towards_first) == 1.0
    assert NearestNeighbours(reference=reference, neighbours=1).distance(np.zeros(3)) == FARTHEST
    with pytest.raises(ValueError, match="at least 5 embeddings"):
        NearestNeighbours(reference=reference)


def test_what_is_nearer_to_strange_images_than_to_known_ones_is_as_far_as_can_be() -> None:
    known, strange = np.eye(3, dtype=np.float32)[:1], np.eye(3, dtype=np.float32)[1:2]
    gate = NearestNeighbours(reference=known, strange=strange, neighbours=1)
    assert gate.distance(np.array([0.8, 0.6, 0.0])) == pytest.approx(0.2)
    assert gate.distance(np.array([0.6, 0.8, 0.0])) == FARTHEST
    with pytest.raises(ValueError, match=r"strange\.npy has shape \(1, 3\)"):
        NearestNeighbours(reference=np.repeat(known, 5, axis=0), strange=strange)


# ---- without calibration, and with a site's own


def test_without_calibration_there_is_a_score_and_no_p_value(tmp_path: Path) -> None:
    bare = load_model(tiny_bundle.write(tmp_path / "bare", calibrated=False), threads=1)
    right = judged(bare, protocol("T2"), protocol("T2"))
    wrong = judged(bare, protocol("T2"), protocol("T1"))
    assert (right.p_value, wrong.p_value) == (None, None)
    assert 0 < right.score < wrong.score < 1
    assert right.findings == ()
    assert {found.severity for found in wrong.findings} == {"info"}
    assert all(found.p_value is None for found in (*wrong.findings, *wrong.evidence))
    assert (bare.identity.calibration, bare.digests) == ("none", (bare.bundle.sha256,))


def test_a_sites_calibration_takes_the_place_of_the_bundles(model: Model) -> None:
    clean = tiny_bundle.clean_series(30, first_seed=90_000)
    records = [[judged(model, caption, caption, seed=seed).record] for seed, caption in enumerate(clean)]
    provenance = Provenance(
        source="site", kind="real", created="2026-02-03T04:05:06Z", bundle_sha256=model.bundle.sha256
    )
    site = fit(records, provenance)
    own = load_model(model.bundle, calibration=site, threads=1)
    assert own.identity.calibration == "site"
    assert own.digests == (model.bundle.sha256, site.sha256)
    assert own.gate_distance == model.gate_distance  # a site does not widen what the model knows
    # 30 clean series: no p-value below 1 / 31.
    assert judged(own, protocol("T2"), protocol("T1")).p_value == pytest.approx(1 / 31)


def test_a_calibration_for_another_bundle_is_refused(model: Model) -> None:
    provenance = Provenance(source="site", kind="real", created="2026-02-03T04:05:06Z", bundle_sha256="0" * 64)
    with pytest.raises(CalibrationError, match=f"for bundle {'0' * 64}, not for {model.bundle.sha256}"):
        load_model(model.bundle, calibration=fit([[]], provenance))


def test_the_bundles_calibration_is_named_by_its_manifest(model: Model, bundle: Bundle) -> None:
    assert model.identity.calibration == "bundle"
    assert model.digests == (bundle.sha256, bundle.manifest.files["calibration.json"])


@pytest.mark.parametrize(
    ("file", "content"),
    [("calibration.json", b"{}"), ("label_grid.json", b'{"rows": []}'), ("reference.npy", b"junk")],
)
def test_a_bundle_file_that_cannot_be_used_is_named(bundle: Bundle, tmp_path: Path, file: str, content: bytes) -> None:
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    broken = write_bundle(tmp_path / "broken", replace(bundle.manifest, files={}), {**files, file: content})
    with pytest.raises(BundleError, match=rf"{file}: expected"):
        load_model(broken, threads=1)


# ---- through files


def test_series_read_from_files_are_judged_by_their_pixels(model: Model, tmp_path: Path) -> None:
    for seed, contrast in enumerate(tiny_bundle.PROTOCOLS):
        dicom_factory.write_series(tiny_bundle.dicom(protocol(contrast), seed=seed), tmp_path / contrast)
    wrong = tiny_bundle.dicom(protocol("T1"), image=protocol("T2"), seed=99)
    dicom_factory.write_series(wrong, tmp_path / "wrong")
    reading = read_paths([tmp_path], Reader(model=model, alarm_rate=ALARM_RATE), threads=1)
    by_description = {
        str(dataset.SeriesInstanceUID): name
        for name, dataset in {path.name: dcmread(next(path.iterdir())) for path in tmp_path.iterdir()}.items()
    }
    found = {by_description[series.series_instance_uid]: series for series in reading.series}
    assert {name: series.contrast for name, series in found.items()} == {
        **{contrast: contrast for contrast in tiny_bundle.PROTOCOLS},
        "wrong": "T2",
    }
    assert [name for name, series in found.items() if series.flagged] == ["wrong"]
    image = [finding for finding in found["wrong"].stacks[0].findings if finding.source == "image"]
    assert {finding.attribute for finding in image} >= {"SeriesDescription", "EchoTime", "RepetitionTime"}


# ---- the arithmetic, by hand


class Lookup:
    """An encoder of captions by echo time and contrast: the cosine to the image's axis is what the table says."""

    dim = 2
    caption_fields = frozenset({"EchoTime_ms", "contrast"})

    def __init__(self, cosines: dict[tuple[float | None, str | None], float]) -> None:
        self._cosines = cosines
        self.asked = 0

    def encode_images(self, pixels: Any) -> Any:
        raise AssertionError("not asked for")

    def encode_captions(self, captions: Sequence[Caption]) -> Any:
        self.asked += 1
        cosines = np.array([self._cosines.get((c.EchoTime_ms, c.contrast), 0.0) for c in captions], np.float32)
        return np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1).astype(np.float32)


def test_the_two_bayes_factors_by_hand() -> None:
    # Scale ln 4: a cosine of 1 makes a caption 4 times as likely as one of 0, of 0.5 twice.
    encoder = Lookup({(90.0, "T2"): 1.0, (10.0, "T1"): 0.5, (10.0, "T2"): 0.5})
    rows = tuple(
        GridRow(
            contrast=contrast,
            post_contrast=None,
            fat_suppressed=None,
            weight=weight,
            caption=Caption(contrast=contrast, EchoTime_ms=te),
        )
        for contrast, te, weight in (("T1", 10.0, 3.0), ("T2", 90.0, 1.0), ("T2", 100.0, 1.0))
    )
    grid = Grid(rows=rows, embeddings=encoder.encode_captions([row.caption for row in rows]), logit_scale=math.log(4))
    counterfactuals = Counterfactuals(encoder, grid)
    image = np.array([1.0, 0.0])
    against = counterfactuals.log_odds(image, Caption(contrast="T2", EchoTime_ms=10.0))
    # Echo time, header's contrast kept: 90 ms has 4 and 100 ms has 1, mean 2.5, against 2 for the claimed 10 ms.
    # Grid: rows that disagree have 4 and 1, mean 2.5, against 2 for the row that agrees.
    assert against["EchoTime_ms"] == pytest.approx(math.log(2.5 / 2), abs=1e-4)
    # Contrast, header's echo time kept: T1 has 2, against 2 for the claimed T2. Grid: T1 has 2, T2 4 and 1, mean 2.5.
    assert against["contrast"] == pytest.approx((math.log(2 / 2) + math.log(2 / 2.5)) / 2, abs=1e-4)
    # b-value absent is a claim, yet no row has one: nothing to compare with.
    assert set(against) == {"EchoTime_ms", "contrast"}
    before = encoder.asked
    assert counterfactuals.log_odds(image, Caption(contrast="T2", EchoTime_ms=10.0)) == against
    assert encoder.asked == before  # a header seen before is not embedded again


def test_a_better_value_that_no_eye_can_tell_apart_is_not_held_against_the_header() -> None:
    encoder = Lookup({(90.0, "T2"): 0.5, (100.0, "T2"): 1.0})
    rows = tuple(
        GridRow(contrast="T2", post_contrast=None, fat_suppressed=None, weight=1.0, caption=Caption(EchoTime_ms=te))
        for te in (10.0, 90.0, 100.0)
    )
    # The grid's captions lack the contrast, so all its rows have 1 and only the swaps count.
    grid = Grid(rows=rows, embeddings=encoder.encode_captions([row.caption for row in rows]), logit_scale=math.log(4))
    caption = Caption(contrast="T2", EchoTime_ms=90.0)
    evidence = Counterfactuals(encoder, grid).log_odds(np.array([1.0, 0.0]), caption)
    # 10 ms has 1; of 90 ms with 2 and 100 ms with 4, which agree, the better counts.
    assert evidence["EchoTime_ms"] == pytest.approx((math.log(1 / 4) + 0) / 2, abs=1e-4)


def test_a_number_beyond_the_grid_is_taken_as_the_nearest() -> None:
    encoder = Lookup({(90.0, "T2"): 1.0})
    rows = tuple(
        GridRow(
            contrast="T2",
            post_contrast=None,
            fat_suppressed=None,
            weight=1.0,
            caption=Caption(contrast="T2", EchoTime_ms=te),
        )
        for te in (20.0, 90.0)
    )
    grid = Grid(rows=rows, embeddings=encoder.encode_captions([row.caption for row in rows]), logit_scale=math.log(4))
    evidence = Counterfactuals(encoder, grid).log_odds(np.array([1.0, 0.0]), Caption(EchoTime_ms=900.0))
    # Grid: 20 ms disagrees with 1, 90 ms agrees with 4. Swapped: neither caption is known, 1 against 1.
    assert evidence["EchoTime_ms"] == pytest.approx((math.log(1 / 4) + math.log(1 / 1)) / 2, abs=1e-4)


@pytest.mark.parametrize(
    ("field", "one", "other", "agree"),
    [
        ("EchoTime_ms", 90.0, 100.0, True),
        ("EchoTime_ms", 90.0, 140.0, False),
        ("EchoTime_ms", 2.0, 9.0, True),  # within 10 ms
        ("EchoTime_ms", 0.098, 98.0, False),
        ("RepetitionTime_ms", 500.0, 1000.0, True),
        ("RepetitionTime_ms", 500.0, 1100.0, False),
        ("InversionTime_ms", None, 150.0, False),
        ("InversionTime_ms", None, None, True),
        ("b_value_s_mm2", None, 0.0, True),  # b = 0 is often not written
        ("b_value_s_mm2", None, 1000.0, False),
        ("b_value_s_mm2", 1000.0, 1200.0, True),
        ("ScanningSequence", "SE_IR", "SE", True),  # inversion is judged by its time
        ("ScanningSequence", "SE", "GR", False),
        ("ScanningSequence", "EP_SE", "SE_EP", True),
        ("contrast", "T1", "T2", False),
        ("post_contrast", True, False, False),
        ("plane", "axial", None, False),
    ],
)
def test_values_agree_as_far_as_an_image_can_tell(
    field: str, one: Value | None, other: Value | None, agree: bool
) -> None:
    assert FIELDS[field].agree(one, other) is agree
    assert FIELDS[field].agree(other, one) is agree


@pytest.mark.parametrize(
    ("contrast", "header", "expected"),
    [
        ("T2", {"scanning_sequence": ("SE",)}, "spin-echo"),
        ("T1", {"scanning_sequence": ("GR",)}, "gradient-echo"),
        ("T1", {"scanning_sequence": ("GR", "IR")}, "gradient-echo"),
        ("DIFFUSION", {"scanning_sequence": ("EP", "SE")}, "epi"),
        ("T2_STAR", {"scanning_sequence": ("EP", "GR")}, "epi"),
        ("ADC", {"scanning_sequence": ("EP", "SE")}, "derived"),
        ("DIFFUSION", {"scanning_sequence": ()}, "epi"),
        ("TOF", {"scanning_sequence": ()}, "gradient-echo"),
        ("UNKNOWN", {"scanning_sequence": ()}, "spin-echo"),
    ],
)
def test_a_claim_belongs_to_a_family_of_sequences(contrast: str, header: dict[str, Any], expected: str) -> None:
    claim = Claim(label=contrast, post_contrast=None, fat_suppressed=None, basis=())
    assert group(tiny_bundle.stack(Caption(contrast=contrast), **header), claim) == expected
    assert group(replace(tiny_bundle.stack(Caption()), kind="phase"), claim) == "derived"


def test_the_files_of_the_tiny_bundle_are_what_the_format_says(bundle: Bundle) -> None:
    assert set(bundle.manifest.files) == bundle.manifest.required_files | {"calibration.json", "reference.npy"}
    assert json.loads(bundle.read("calibration.json"))["series"] == 1200
