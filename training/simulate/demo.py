"""The demo study that the node ships: one simulated head, seven series, two of them with a wrong header.

    python -m training.simulate.demo --labels LABELS --seed 20 --out dicom_node/demo_study
"""

import argparse
import sys
import zipfile
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless

from training.simulate import vendors
from training.simulate.anatomy import label_files, load_head
from training.simulate.dicom import datasets
from training.simulate.protocols import Draw, by_name, scan
from training.simulate.scan import Plane, Scan
from training.simulate.series import simulate
from training.simulate.tissues import parameters

_VENDOR, _MODEL, _FIELD_T = "SIEMENS", "Skyra", 3.0
_STAMP: Final = (2024, 1, 2, 10, 15, 0)  # of the files in the archive, so that it is the same bytes each time


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One series of the study."""

    protocol: str
    description: str
    plane: Plane = "axial"
    slices: int = 20
    agent: bool = False
    adc: bool = False
    syntax: UID = JPEG2000Lossless


PARTS: Final = (
    Part(protocol="t1-mprage", description="t1_mprage_sag_p2_iso", plane="sagittal", slices=22),
    Part(protocol="t2-tse", description="t2_tse_tra_p2", syntax=JPEGLSLossless),
    Part(protocol="t2-flair", description="t2_tirm_tra_dark-fluid"),
    Part(protocol="dwi", description="ep2d_diff_3scan_trace_p2_TRACEW", syntax=JPEGLSLossless),
    Part(protocol="dwi", description="ep2d_diff_3scan_trace_p2_ADC", adc=True, syntax=RLELossless),
    Part(protocol="t1-se", description="t1_se_tra_post KM", agent=True),
    Part(protocol="t2-tse", description="t2_tse_cor", plane="coronal", syntax=JPEGLSLossless),
    Part(protocol="t2-flair", description="t1_se_tra", syntax=JPEGLSLossless),
)


def _scan(part: Part, rng: np.random.Generator) -> Scan:
    draw = Draw(
        rng=rng, vendor=_VENDOR, model=_MODEL, field_t=_FIELD_T, region="head", plane=part.plane, agent=part.agent
    )
    drawn = scan(by_name(part.protocol), draw)
    sampling = replace(drawn.sampling, zero_fill=1.5 if drawn.technique == "dwi" else 1.0, snr=60.0, thickness_mm=min(drawn.sampling.thickness_mm, 5.0))
    if drawn.technique != "dwi":
        sampling = replace(sampling, voxel_mm=(1.05, 1.05))
    physics = replace(drawn.physics, output="adc") if part.adc else drawn.physics
    return replace(drawn, description=part.description, sampling=sampling, physics=physics)


def _wrong(instances: list[Dataset], header_of: list[Dataset] | None) -> None:
    """Make the headers lie: TE in seconds, or the whole acquisition header of another series."""
    for dataset in instances:
        if header_of is None:
            dataset.EchoTime = f"{float(dataset.EchoTime) / 1000.0:.6g}"
            continue
        for keyword in ("ScanningSequence", "SequenceVariant", "ScanOptions", "EchoTime", "RepetitionTime", "FlipAngle",
                        "EchoTrainLength", "InversionTime", "SeriesDescription", "ProtocolName", "ImageType"):  # fmt: skip
            if keyword in header_of[0]:
                setattr(dataset, keyword, header_of[0][keyword].value)
            elif keyword in dataset:
                delattr(dataset, keyword)


def study(labels: Path, seed: int) -> list[list[Dataset]]:
    """The series of the demo study, uncompressed."""
    rng = np.random.default_rng(seed)
    head = load_head(label_files(labels)[seed % 16], seed)
    tissue = parameters(_FIELD_T, rng)
    result: list[list[Dataset]] = []
    for number, part in enumerate(PARTS, start=1):
        made = simulate(head, _scan(part, rng), seed=seed * 100 + number, slices=part.slices, tissue=tissue)
        result.append(datasets(made, study=f"demo {seed}", number=number))
    plain_t1 = _scan(Part(protocol="t1-se", description=PARTS[-1].description), rng)
    other = Dataset()
    other.update({})
    for keyword, value in vendors.header(plain_t1).items():
        setattr(other, keyword, value)
    other.SeriesDescription = other.ProtocolName = plain_t1.description
    _wrong(result[-2], None)
    _wrong(result[-1], [other])
    return result


def write(series: list[list[Dataset]], path: Path) -> None:
    """One zip archive, each series compressed with its own transfer syntax; the same input gives the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (part, instances) in enumerate(zip(PARTS, series, strict=True), start=1):
            for dataset in instances:
                dataset.compress(part.syntax, generate_instance_uid=False)
                buffer = BytesIO()
                dcmwrite(buffer, dataset, enforce_file_format=True)
                name = f"{number:02d}_{part.protocol}/{int(dataset.InstanceNumber):03d}.dcm"
                archive.writestr(zipfile.ZipInfo(name, _STAMP), buffer.getvalue())


def main() -> None:
    """Write the demo study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, required=True, help="folder of head label maps")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("dicom_node/demo_study"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "study.zip"
    write(study(options.labels, options.seed), path)
    sys.stderr.write(f"{path}: {path.stat().st_size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
