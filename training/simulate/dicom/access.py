"""Acquisition attributes read and written where they are: flat in classic images, in functional groups in Enhanced."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Final

from pydicom.dataset import Dataset

# The numbers that make up the timing; what Enhanced MR calls them.
TIMING: Final = ("EchoTime", "RepetitionTime", "InversionTime", "FlipAngle", "EchoTrainLength")
_ENHANCED: Final = {"EchoTime": "EffectiveEchoTime", "InversionTime": "InversionTimes", "ImageType": "FrameType"}
_IN_GROUPS: Final = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_ACQUISITION: Final = (
    *TIMING,
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "SequenceName",
    "MRAcquisitionType",
    "ImageType",
    "ContrastBolusAgent",
    "DiffusionBValue",
    "DiffusionDirectionality",
)
# Private blocks that tell the b-value (Siemens, GE).
_PRIVATE_GROUPS: Final = (0x0019, 0x0043)
# What of an Enhanced image's acquisition is in functional groups, and what at the top.
_GROUPS: Final = (
    "MRTimingAndRelatedParametersSequence",
    "MREchoSequence",
    "MRModifierSequence",
    "MRImageFrameTypeSequence",
    "MRDiffusionSequence",
)
_TOP: Final = (
    "ImageType",
    "AcquisitionContrast",
    "ComplexImageComponent",
    "PulseSequenceName",
    "EchoPulseSequence",
    "MultipleSpinEcho",
    "TimeOfFlightContrast",
    "SteadyStatePulseSequence",
    "EchoPlanarPulseSequence",
    "SpectrallySelectedSuppression",
    "PhaseContrast",
)


def is_enhanced(dataset: Dataset) -> bool:
    """Whether the acquisition lies in functional groups."""
    return "SharedFunctionalGroupsSequence" in dataset


def _places(dataset: Dataset, keyword: str) -> Iterator[tuple[Dataset, str]]:
    """Every data set that holds the attribute, under the name it has there."""
    if keyword in dataset:
        yield dataset, keyword
    inner = _ENHANCED.get(keyword, keyword)
    for name in _IN_GROUPS:
        for item in dataset.get(name, ()):
            for element in item:
                if element.VR == "SQ" and element.value and inner in element.value[0]:
                    yield element.value[0], inner


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """The first numbers found under a keyword; empty where there are none."""
    for place, name in _places(dataset, keyword):
        value = place[name].value
        if value is None or value == "":
            continue
        return (
            [float(v) for v in value] if isinstance(value, Sequence) and not isinstance(value, str) else [float(value)]
        )
    return []


def set_numbers(dataset: Dataset, keyword: str, values: Sequence[float]) -> None:
    """Write numbers wherever the attribute is, or flat where a classic image has it nowhere; none change nothing."""
    if not values:
        return
    places = list(_places(dataset, keyword))
    if not places and not is_enhanced(dataset):
        places = [(dataset, keyword)]
    for place, name in places:
        many = name == "InversionTimes" or len(values) > 1
        plain = [round(value) if keyword == "EchoTrainLength" else float(f"{value:.8g}") for value in values]
        setattr(place, name, plain if many else plain[0])


def words(dataset: Dataset, keyword: str) -> list[str]:
    """The texts under a keyword; empty where there are none."""
    for place, name in _places(dataset, keyword):
        value = place[name].value
        if value:
            return [value] if isinstance(value, str) else [str(v) for v in value]
    return []


def set_words(dataset: Dataset, keyword: str, values: Sequence[str] | str) -> None:
    """Write texts wherever the attribute is; a Frame Type gets its four values."""
    for place, name in list(_places(dataset, keyword)):
        if name == "FrameType" and len(values) < 4:
            setattr(place, name, [*values, *["NONE"] * (4 - len(values))])
        else:
            setattr(place, name, values if isinstance(values, str) else list(values))


def delete(dataset: Dataset, keyword: str) -> None:
    """Take an attribute away wherever it is."""
    for place, name in list(_places(dataset, keyword)):
        delattr(place, name)


def rename(dataset: Dataset, text: str) -> None:
    """Give a series another description, and the protocol the same name where it had one."""
    dataset.SeriesDescription = text[:64]
    if "ProtocolName" in dataset:
        dataset.ProtocolName = text[:64]


def copy_acquisition(source: Dataset, target: Dataset) -> None:
    """Everything that says how and what was scanned, from one data set to another; geometry stays.

    Nothing where one is classic and the other Enhanced.
    """
    if is_enhanced(source) != is_enhanced(target):
        return
    if is_enhanced(source):
        _copy_enhanced(source, target)
    else:
        for keyword in _ACQUISITION:
            _copy_element(source, target, keyword)
        _copy_private(source, target)
    rename(target, str(source.get("SeriesDescription", "")))


def _copy_element(source: Dataset, target: Dataset, keyword: str) -> None:
    if keyword in source:
        target[keyword] = deepcopy(source[keyword])
    elif keyword in target:
        delattr(target, keyword)


def _copy_private(source: Dataset, target: Dataset) -> None:
    for group in _PRIVATE_GROUPS:
        for element in list(target.group_dataset(group)):
            del target[element.tag]
        for element in source.group_dataset(group):
            target[element.tag] = deepcopy(element)


def _copy_enhanced(source: Dataset, target: Dataset) -> None:
    for keyword in _TOP:
        _copy_element(source, target, keyword)
    theirs = source.SharedFunctionalGroupsSequence[0]
    first = source.PerFrameFunctionalGroupsSequence[0]
    for name in _GROUPS:
        holder = theirs if name in theirs else first
        for item in target.PerFrameFunctionalGroupsSequence:
            if name in item:
                delattr(item, name)
        _copy_element(holder, target.SharedFunctionalGroupsSequence[0], name)
