"""What a signed-in person needs to find the patient elsewhere: PatientID, accession number and study date, no more.

They are read from the spool when a page shows them, and kept nowhere.
"""

from dataclasses import dataclass
from typing import Final

from dicom_node.receive.spool import Spool
from inference.identifiers import SeriesInstanceUid
from inference.parsing import ParseError, parse

_KEYWORDS: Final = ("PatientID", "AccessionNumber", "StudyDate")


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """Empty where the header says nothing."""

    patient_id: str  # (0010,0020)
    accession_number: str  # (0008,0050)
    study_date: str  # (0008,0020), YYYYMMDD


def patient(spool: Spool, series: SeriesInstanceUid) -> Patient | None:
    """Whose series it is, by its first file; None if that cannot be read any more."""
    path = next(spool.series_folder(series).glob("*.dcm"), None)
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            header = parse(stream, path.stat().st_size).dataset
    except (OSError, ParseError):
        return None
    patient_id, accession_number, study_date = (str(header.get(keyword) or "").strip() for keyword in _KEYWORDS)
    return Patient(patient_id=patient_id, accession_number=accession_number, study_date=study_date)
