"""The demo study that the node ships: one simulated head, nine series, two of them with a wrong header.

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

from training.simulate.dicom import enhanced
from training.simulate.dicom.classic import datasets
from training.simulate.dicom.corruptions import by_name as corruption
from training.simulate.people.head import drawn_head, head_from_labels, label_files, read_labels
from training.simulate.physics.scan import Plane, Scan
from training.simulate.protocols.catalogue import by_name, scan
from training.simulate.protocols.draw import Draw
from training.simulate.scanner.planning import person
from training.simulate.series import simulate

_VENDOR, _MODEL, _FIELD_T = "Siemens Healthineers", "MAGNETOM Vida", 3.0
_STAMP: Final = (2024, 1, 2, 10, 15, 0)  # of the files in the archive, so that it is the same bytes each time
_VOXEL_MM: Final = 1.15


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One series of the study."""

    protocol: str
    description: str
    plane: Plane = "axial"
    slices: int = 20
    agent: bool = False
    syntax: UID = JPEG2000Lossless
    enhanced: bool = False


PARTS: Final = (
    Part(protocol="t1-mprage", description="t1_mprage_sag_p2_iso", plane="sagittal", slices=22),
    Part(protocol="t2-tse", description="t2_tse_tra_p2", syntax=JPEGLSLossless),
    Part(protocol="t2-flair", description="t2_tirm_tra_dark-fluid"),
    Part(protocol="dwi-trace", description="ep2d_diff_3scan_trace_p2_TRACEW", syntax=JPEGLSLossless),
    Part(protocol="adc", description="ep2d_diff_3scan_trace_p2_ADC", syntax=RLELossless),
    Part(protocol="t2star-gre", description="t2star_gre_tra", enhanced=True),
    Part(protocol="t1-se", description="t1_se_tra_post KM", agent=True),
    Part(protocol="t2-tse", description="t2_tse_cor", plane="coronal", syntax=JPEGLSLossless),
    Part(protocol="t2-flair", description="t2_tirm_tra_dark-fluid"),
)
_PLAIN_T1: Final = Part(protocol="t1-se", description="t1_se_tra")


def _scan(part: Part, rng: np.random.Generator) -> Scan:
    draw = Draw(
        rng=rng, vendor=_VENDOR, model=_MODEL, field_t=_FIELD_T, region="head", plane=part.plane, agent=part.agent
    )
    drawn = scan(by_name(part.protocol), draw)
    sampling = replace(
        drawn.sampling, zero_fill=1.0, snr=60.0, coils=1, thickness_mm=min(drawn.sampling.thickness_mm, 5.0)
    )
    if drawn.physics.kind != "spin-epi":
        sampling = replace(sampling, voxel_mm=(_VOXEL_MM, _VOXEL_MM))
    else:
        sampling = replace(sampling, voxel_mm=(2.0, 2.0), zero_fill=1.6, partial_fourier=1.0, blur_ms=10.0)
    return replace(drawn, description=part.description, sampling=sampling)


def study(labels: Path | None, seed: int, *, slices: int | None = None) -> list[list[Dataset]]:
    """The series of the demo study, uncompressed; without labels the head is drawn. `slices` cuts series short."""
    rng = np.random.default_rng(seed)
    if labels is None:
        head = drawn_head(rng)
    else:
        files = label_files(labels)
        head = head_from_labels(read_labels(files[seed % len(files)]), rng)
    patient = person(head, _FIELD_T, rng, warp_mm=0.0)
    name = f"demo {seed}"
    result: list[list[Dataset]] = []
    for number, part in enumerate(PARTS, start=1):
        made = simulate(patient, _scan(part, rng), seed=seed * 100 + number, slices=slices or part.slices)
        if part.enhanced:
            result.append([enhanced.dataset(made, study=name, number=number)])
        else:
            result.append(datasets(made, study=name, number=number))
    plain = simulate(patient, _scan(_PLAIN_T1, rng), seed=seed, slices=1)
    result[-2] = _wrong("te-in-seconds", result[-2], [])
    result[-1] = _wrong("swap-header", result[-1], datasets(plain, study=name, number=0))
    return result


def _wrong(kind: str, instances: list[Dataset], other: list[Dataset]) -> list[Dataset]:
    changed = corruption(kind).apply(instances, np.random.default_rng(0), other)
    if changed is None:
        raise ValueError(f"corruption {kind!r} changed nothing")
    return changed


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, default=None, help="folder of head label maps; without, a head is drawn")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("dicom_node/demo_study"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "study.zip"
    write(study(options.labels, options.seed), path)
    sys.stderr.write(f"{path}: {path.stat().st_size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
