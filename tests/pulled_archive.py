"""A real archive pulled by `mrclip backfill`: what it is filled with, and what must be in the spool afterwards."""

import subprocess
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import RLELossless

from dicom_factory import series, uid
from dicom_node.receive.spool import Spool
from inference.identifiers import SeriesInstanceUid, SopInstanceUid
from orthanc_server import Orthanc
from serving import MRCLIP

DAYS = ("--since", "2024-03-01", "--until", "2024-03-31")


def study(day: date, number: int, *, images: int = 3) -> list[Dataset]:
    """A study of one MR series."""
    name = f"{day}-{number}"
    return series(images, seed=name, StudyInstanceUID=uid("s", name), StudyDate=f"{day:%Y%m%d}", EchoTime=0.09)


def fill(archive: Orthanc) -> list[list[Dataset]]:
    """Four MR studies of two days in March, one of them compressed; and a CT and an older study, not to be pulled."""
    studies = [study(date(2024, 3, day), number) for day in (1, 2) for number in range(2)]
    studies[0][0].compress(RLELossless, generate_instance_uid=False)
    other = series(1, seed="ct", Modality="CT", StudyDate="20240301")
    for images in [*studies, other, study(date(2024, 2, 1), 9)]:
        archive.store(images)
    return studies


def pull_twice(config: Path, source: str, *options: str) -> None:
    """Pull March; the second time there is nothing left to pull."""
    command = [
        *MRCLIP, "backfill", "--config", str(config), "--from", source, *DAYS, "--per-minute", "6000", *options,
    ]  # fmt: skip
    first = subprocess.run(command, check=False, capture_output=True, text=True)
    again = subprocess.run(command, check=False, capture_output=True, text=True)
    assert first.stdout == "4 series pulled, 12 instances; 0 series were there; 0 instances refused; 0 failed\n", first
    assert again.stdout == "0 series pulled, 0 instances; 4 series were there; 0 instances refused; 0 failed\n", again
    assert (first.returncode, again.returncode) == (0, 0)


def assert_kept_as_it_was(spool: Spool, studies: Sequence[Sequence[Dataset]]) -> None:
    """Every image is in the spool, in the transfer syntax and with the pixels that the archive has."""
    for image in (image for images in studies for image in images):
        path = spool.instance_path(SeriesInstanceUid(image.SeriesInstanceUID), SopInstanceUid(image.SOPInstanceUID))
        stored = path.read_bytes()
        assert image.file_meta.TransferSyntaxUID.encode() in stored[:512]
        assert image.PixelData[-64:] in stored
