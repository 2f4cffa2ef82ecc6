"""Attributes that an MR image must have, and attributes whose value cannot be used.

A header that was read does not tell an absent attribute from an empty one, so Type 1 (must have a value) is a warning
and Type 2 (may be empty) no more than a note. PS3.3 C.7.3.1, C.7.5.1, C.7.6.2, C.8.3.1 for MR Image Storage; C.8.13 for
Enhanced MR.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from inference.elements import HeaderFault
from inference.reading import Finding
from inference.rules.view import CLASSIC_MR, ENHANCED_MR, StackView

_CLASSIC_TYPE_1: Final = (
    "ImageType", "Modality", "ScanningSequence", "SequenceVariant", "PixelSpacing", "ImageOrientationPatient",
    "ImagePositionPatient",
)  # fmt: skip
_CLASSIC_TYPE_2: Final = ("EchoTime", "RepetitionTime", "MRAcquisitionType", "SliceThickness", "Manufacturer")
_ENHANCED_TYPE_1: Final = ("ImageType", "Modality", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient")
_ENHANCED_TYPE_1C: Final = (
    "EchoTime",
    "RepetitionTime",
    "FlipAngle",
    "ScanningSequence",
)  # where the frame is ORIGINAL
_POSITIONS: Final = frozenset({"ImageOrientationPatient", "ImagePositionPatient"})


def required_attribute(view: StackView) -> Iterator[Finding]:
    """Attributes of Type 1 without a value."""
    for keyword in _required(view):
        if view.recorded(keyword) is None and not (keyword in _POSITIONS and view.header.mosaic):
            yield view.finding(
                "required-attribute",
                keyword,
                f"{view.name(keyword)} is missing or empty; this object must have a value",
                expected="a value",
            )


def unknown_attribute(view: StackView) -> Iterator[Finding]:
    """Attributes of Type 2 without a value; maps have no timing of their own."""
    if view.header.sop_class_uid not in CLASSIC_MR or view.is_map:
        return
    for keyword in _CLASSIC_TYPE_2:
        if view.recorded(keyword) in (None, "0"):
            yield view.finding(
                "unknown-attribute",
                keyword,
                f"{view.name(keyword)} is missing, empty or 0",
                expected="a value",
            )


def unusable_value(view: StackView) -> Iterator[Finding]:
    """Attributes that are present and could not be read, once each."""
    faults: Counter[HeaderFault] = Counter(fault for frame in view.stack.frames for fault in frame.faults)
    first: dict[str, HeaderFault] = {}
    for fault, _ in faults.most_common():
        first.setdefault(fault.tag, fault)
    for fault in first.values():
        images = sum(count for other, count in faults.items() if other.tag == fault.tag)
        yield Finding(
            code="unusable-value",
            source="rules",
            attribute=fault.attribute,
            tag=fault.tag,
            recorded=fault.recorded,
            expected=None,
            severity="warning",
            message=f"{fault.attribute} {fault.tag} is {fault.recorded!r} in {images} of {len(view.stack.frames)} "
            f"images; it {fault.rule}",
        )


def _required(view: StackView) -> tuple[str, ...]:
    if view.header.sop_class_uid in CLASSIC_MR:
        return _CLASSIC_TYPE_1
    if view.header.sop_class_uid not in ENHANCED_MR:
        return ()
    original = view.header.image_type[:1] == ("ORIGINAL",)
    return (*_ENHANCED_TYPE_1, *(_ENHANCED_TYPE_1C if original else ()))
