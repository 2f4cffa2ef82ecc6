"""Headers of every family and vendor: true by construction, silent under every rule, accepted by dciodvfy."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from inference.claims import claim
from inference.header import frame_headers
from inference.rules import check
from inference.stacks import split
from peers import program
from training.simulate.dicom import classic, enhanced
from training.simulate.dicom.headers import caption_of, frame_header
from training.simulate.dicom.vendors import MODELS, family
from training.simulate.physics.scan import Scan
from training.simulate.protocols.catalogue import PROTOCOLS, by_name, scan
from training.simulate.protocols.draw import Draw, Protocol
from training.simulate.scanner.render import View
from training.simulate.series import SimulatedSeries

# GE's BRAVO has an inversion time without IR in Scanning Sequence, in real files as here.
GE_PREPARED = "Type 2C Conditional Element=<InversionTime> Module=<MRImage>"
ALL = [pytest.param(p, id=p.name) for p in PROTOCOLS]


def draw(protocol: Protocol, vendor: str, seed: int = 0) -> Scan:
    model, field_t = MODELS[vendor][seed % len(MODELS[vendor])]
    rng = np.random.default_rng(seed)
    agent = protocol.agent_share > 0 and bool(rng.random() < 0.5)
    region = protocol.regions[seed % len(protocol.regions)]
    plane = ("axial", "sagittal", "coronal")[seed % 3]
    return scan(
        protocol, Draw(rng=rng, vendor=vendor, model=model, field_t=field_t, region=region, plane=plane, agent=agent)
    )


def vendors_of(protocol: Protocol) -> list[str]:
    return [v for v in MODELS if not protocol.vendors or family(v) in protocol.vendors]


def as_series(one: Scan, slices: int = 2) -> SimulatedSeries:
    """A series without an image: a ramp in the range that the output has."""
    axes = {"axial": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)), "sagittal": ((0, -1, 0), (0, 0, -1), (-1, 0, 0)),
            "coronal": ((-1, 0, 0), (0, 0, -1), (0, 1, 0))}  # fmt: skip
    right, down, normal = ((float(a), float(b), float(c)) for a, b, c in axes[one.plane])
    view = View(
        centre_mm=(0.0, 10.0, -20.0), right=right, down=down, normal=normal, fov_mm=(220.0, 200.0),
        offsets_mm=tuple(5.0 * k for k in range(slices)), thickness_mm=4.0,
    )  # fmt: skip
    volume = torch.linspace(0, 3, slices * 24 * 20).reshape(slices, 24, 20)
    return SimulatedSeries(scan=one, view=view, volume=volume, seed=1)


@pytest.mark.parametrize("protocol", ALL)
def test_no_rule_warns_of_a_true_header(protocol: Protocol) -> None:
    for vendor in vendors_of(protocol):
        for seed in range(2):
            one = draw(protocol, vendor, seed)
            series = as_series(one)
            for instances in (
                [enhanced.dataset(series, study="s", number=1)],
                classic.datasets(series, study="s", number=1),
            ):
                stacks = split([header for dataset in instances for header in frame_headers(dataset)])
                assert len(stacks) == 1
                assert stacks[0].plane == one.plane
                findings = [f for f in check(stacks[0], stacks) if f.severity != "info"]
                assert findings == [], f"{vendor}, {one.description!r}"


@pytest.mark.parametrize("protocol", [p for p in ALL if p.values[0].contrast is not None])
def test_what_the_header_claims_is_what_the_pixels_show(protocol: Protocol) -> None:
    silent = 0
    for vendor in vendors_of(protocol):
        for seed in range(6):
            one = draw(protocol, vendor, seed)
            claimed = claim(frame_header(one))
            silent += claimed.label == "UNKNOWN"
            assert claimed.label in (one.labels.contrast, "UNKNOWN")
            assert claimed.post_contrast in (one.labels.post_contrast, None)
            assert claimed.fat_suppressed in (one.labels.fat_suppressed, None)
    assert silent <= 0.2 * 6 * len(vendors_of(protocol))


def test_captions_hold_the_numbers_of_the_header() -> None:
    one = draw(by_name("t2-tse"), "SIEMENS")
    caption = caption_of(one)
    assert caption.EchoTime_ms == one.physics.te_ms
    assert caption.RepetitionTime_ms == one.physics.tr_ms
    assert caption.plane == one.plane
    assert caption.ImageKind == "magnitude"


def test_vendors_count_the_times_of_an_mprage_their_own_way() -> None:
    protocol = by_name("t1-mprage")
    siemens, ge, philips = (frame_header(draw(protocol, v)) for v in ("SIEMENS", "GE MEDICAL SYSTEMS", "Philips"))
    assert siemens.repetition_time_ms is not None
    assert siemens.repetition_time_ms > 1400  # inversion to inversion
    assert siemens.scanning_sequence == ("GR", "IR")
    assert ge.repetition_time_ms is not None
    assert ge.repetition_time_ms < 10  # echo to echo
    assert ge.inversion_time_ms is not None
    assert philips.inversion_time_ms is None


@pytest.mark.parametrize("vendor", ["SIEMENS", "GE MEDICAL SYSTEMS", "UIH"])
def test_the_b_value_is_where_the_vendor_keeps_it(vendor: str) -> None:
    one = draw(by_name("dwi-trace"), vendor)
    assert frame_header(one).b_value_s_mm2 == one.physics.b_s_mm2 > 0
    assert frame_header(draw(by_name("dwi-b0"), vendor)).b_value_s_mm2 == 0


def test_slices_lie_where_the_view_put_them() -> None:
    instances = classic.datasets(as_series(draw(by_name("t2-tse"), "SIEMENS"), slices=3), study="s", number=1)
    first, second = (np.asarray(d.ImagePositionPatient, float) for d in instances[:2])
    # Axial: 200 mm along the rows, 220 mm along the columns; the view's centre is in RAS, DICOM's axes are LPS.
    assert first == pytest.approx([-100 + 5.0, -10 - 110 + 220 / 48, -20], abs=1e-3)
    assert second - first == pytest.approx([0, 0, 5], abs=1e-6)


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("vendor", ["SIEMENS", "GE MEDICAL SYSTEMS", "Philips", "UIH"])
@pytest.mark.parametrize("form", ["classic", "enhanced"])
def test_dciodvfy_finds_no_error(vendor: str, form: str, tmp_path: Path) -> None:
    files: list[Path] = []
    for number, protocol in enumerate(PROTOCOLS):
        if vendor not in vendors_of(protocol):
            continue
        series = as_series(draw(protocol, vendor, number))
        dataset = (
            enhanced.dataset(series, study="s", number=1)
            if form == "enhanced"
            else classic.datasets(series, study="s", number=1)[0]
        )
        files.append(tmp_path / f"{protocol.name}.dcm")
        dcmwrite(files[-1], dataset, enforce_file_format=True)
    errors = {file.stem: errors_of(file) for file in files}
    allowed = {"t1-mprage": GE_PREPARED} if (vendor, form) == ("GE MEDICAL SYSTEMS", "classic") else {}
    for name, found in errors.items():
        assert [line for line in found if allowed.get(name, "-") not in line] == [], name


def errors_of(file: Path) -> list[str]:
    run = subprocess.run([program("dciodvfy"), str(file)], capture_output=True, text=True, check=False)
    return [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.peer("dciodvfy")
def test_dciodvfy_is_seen_to_find_an_error(tmp_path: Path) -> None:
    dataset = classic.datasets(as_series(draw(by_name("t2-tse"), "SIEMENS")), study="s", number=1)[0]
    del dataset.ScanningSequence
    dcmwrite(tmp_path / "broken.dcm", dataset, enforce_file_format=True)
    assert any("ScanningSequence" in line for line in errors_of(tmp_path / "broken.dcm"))


def test_a_written_file_is_read_back_the_same(tmp_path: Path) -> None:
    dataset: Dataset = classic.datasets(as_series(draw(by_name("phase"), "SIEMENS")), study="s", number=1)[0]
    dcmwrite(tmp_path / "phase.dcm", dataset, enforce_file_format=True)
    again = dcmread(tmp_path / "phase.dcm")
    assert again.RescaleIntercept == -4096
    assert np.array_equal(again.pixel_array, dataset.pixel_array)
