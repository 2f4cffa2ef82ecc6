"""DICOM unique identifiers as types that cannot be swapped, and the one test of their form."""

import re
from typing import NewType

StudyInstanceUid = NewType("StudyInstanceUid", str)
SeriesInstanceUid = NewType("SeriesInstanceUid", str)
SopInstanceUid = NewType("SopInstanceUid", str)

# PS3.5 section 9.1 also forbids leading zeros in a component; real archives hold such UIDs, they
# are unambiguous as text and harmless as names, so only the alphabet, shape and length are required.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: object) -> bool:
    """True if `text` has the form of a UID: digits in dotted components, at most 64 characters (PS3.5 9.1)."""
    return isinstance(text, str) and len(text) <= 64 and _UID.fullmatch(text) is not None
