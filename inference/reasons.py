"""Why a stack was not read and why a file was refused: every code there is, in two tables."""

from dataclasses import dataclass
from typing import Final

# A stack that ends as `abstained`: there are pixels, and no answer that could be trusted.
ABSTAINED: Final = {
    "no-model": "no model bundle is active, so only the rules were run",
    "out-of-domain": "the model does not know images like this",
    "low-confidence": "no contrast is likely enough",
}

# A stack that ends as `unsupported`: there is nothing a contrast model could be asked about.
UNSUPPORTED: Final = {
    "localizer": "the header says that this is a localizer",
    "spectroscopy": "spectroscopy has no image",
    "colour": "colour images carry no signal intensity",
    "no-pixels": "the object has no pixel data",
    "broken-pixels": "the pixel data cannot be decoded",
    "pixel-limit": "the image is larger than the limits allow",
    "not-finite": "the image has no finite values",
    "constant": "the image has one grey value",
    "noise": "the image holds noise only",
    "not-mr": "the object is not an MR image",
    "too-many-stacks": "the series has more stacks than are read",
}

# A file that never became part of a series.
REFUSED: Final = {
    "not-dicom": "the file is not DICOM",
    "truncated": "the file ends before its data set does",
    "unreadable": "the file cannot be read",
    "nested-too-deep": "sequences are nested too deeply",
    "missing-uid": "a required UID is missing",
    "invalid-uid": "a UID does not have the form of one",
    "too-large": "the data set is larger than the limits allow",
    "transfer-syntax": "the transfer syntax is not supported",
    "duplicate-uid": "another data set was read under the same SOP Instance UID",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """A code of one of the tables above and a sentence for the person who meets it."""

    code: str
    message: str

    def __post_init__(self) -> None:
        if self.code not in ABSTAINED and self.code not in UNSUPPORTED:
            raise ValueError(f"reason code {self.code!r} is in no table of inference.reasons")


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A file that could not be parsed or has no valid UIDs."""

    path: str
    code: str
    message: str

    def __post_init__(self) -> None:
        if self.code not in REFUSED:
            raise ValueError(f"refusal code {self.code!r} is not in inference.reasons.REFUSED")
