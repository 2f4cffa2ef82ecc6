"""One stack as a group of measurements and qualitative evaluations (TID 1501), with the images it is about."""

from collections.abc import Iterator, Mapping

import highdicom.sr as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_node.report import codes as concepts
from dicom_node.report import uids
from dicom_node.report.context import ReportContext
from dicom_node.report.evidence import SourceInstance
from inference.identifiers import SeriesInstanceUid, SopInstanceUid
from inference.labels import UNKNOWN
from inference.reading import EncodedImage, Finding, StackReading


def group(
    stack: StackReading,
    series: SeriesInstanceUid,
    *,
    sources: Mapping[SopInstanceUid, SourceInstance],
    context: ReportContext,
) -> hd.MeasurementsAndQualitativeEvaluations:
    """The group of one stack; ValueError where an image that was read is not among the `sources`."""
    found = hd.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.TrackingIdentifier(
            uid=uids.tracking_uid(series, stack.index), identifier=_plain(_name(stack))
        ),
        algorithm_id=_algorithm(context),
        qualitative_evaluations=[hd.QualitativeEvaluation(name, value) for name, value in _evaluations(stack)],
        measurements=[
            hd.Measurement(name=name, value=float(value), unit=concepts.NO_UNITS)
            for name, value in _measurements(stack)
        ],
    )
    items = found[0].ContentSequence
    items.extend(
        hd.TextContentItem(name=concepts.COMMENT, value=_plain(text), relationship_type="CONTAINS")
        for text in _comments(stack)
    )
    items.extend(_image_items(stack, sources))
    return found


def _name(stack: StackReading) -> str:
    selector = ", ".join(f"{name} {value}" for name, value in stack.selector.items())
    return f"stack {stack.index}" + (f" ({selector})" if selector else "")


def _algorithm(context: ReportContext) -> hd.AlgorithmIdentification:
    """TID 4019: the bundle by name, version and digest, or the rules where no model was asked."""
    model = context.model
    parameters = [f"rules {context.rules_version}", f"reader sha256 {context.reader_digest}"]
    if model is None:
        return hd.AlgorithmIdentification(name="mrclip rules", version=context.rules_version, parameters=parameters)
    return hd.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[f"bundle sha256 {model.sha256}", f"calibration {model.calibration}", *parameters],
        family=codes.DCM.ArtificialIntelligence,
    )


def _evaluations(stack: StackReading) -> Iterator[tuple[Code, Code]]:
    shown = stack.contrast.label if stack.contrast else UNKNOWN
    yield concepts.ACQUISITION_CONTRAST, concepts.CONTRAST[shown]
    yield concepts.CLAIMED_CONTRAST, concepts.CONTRAST[stack.claimed_contrast or UNKNOWN]
    yield concepts.AGREEMENT, _agreement(stack)


def _agreement(stack: StackReading) -> Code:
    """Consistent only where the pixels were read and nothing speaks against it; an alarm alone is inconsistent."""
    if stack.inconsistency.flagged:
        return concepts.INCONSISTENT
    if stack.contrast is None:
        return concepts.UNDETERMINED
    if stack.claimed_contrast is None:
        tested = stack.inconsistency.p_value is not None
        return concepts.CONSISTENT if tested else concepts.UNDETERMINED
    return concepts.CONSISTENT if stack.claimed_contrast == stack.contrast.label else concepts.UNDETERMINED


def _measurements(stack: StackReading) -> Iterator[tuple[Code, float]]:
    if stack.contrast is not None:
        yield concepts.PROBABILITY, stack.contrast.probability
    yield concepts.INCONSISTENCY, stack.inconsistency.score
    if stack.inconsistency.p_value is not None:
        yield concepts.P_VALUE, stack.inconsistency.p_value


def _comments(stack: StackReading) -> Iterator[str]:
    """One text a finding, after the reason why a stack was not read."""
    if stack.reason is not None:
        yield f"{stack.status} ({stack.reason.code}): {stack.reason.message}"
    for finding in stack.findings:
        yield _sentence(finding)


def _sentence(finding: Finding) -> str:
    suggestion = "" if finding.suggestion is None else f"; suggested value: {finding.suggestion}"
    return f"{finding.severity} ({finding.source}, {finding.code}): {finding.message}{suggestion}"


def _image_items(stack: StackReading, sources: Mapping[SopInstanceUid, SourceInstance]) -> list[Dataset]:
    """References to what was encoded; of a stack that was not read, to one image that stands for it."""
    shown = stack.images or (stack.example or EncodedImage(sop_instance_uid=next(iter(sources))),)
    frames: dict[SopInstanceUid, set[int]] = {}
    for image in shown:
        if image.sop_instance_uid not in sources:
            raise ValueError(f"image {image.sop_instance_uid} of stack {stack.index} is not among the evidence")
        frames.setdefault(image.sop_instance_uid, set()).add(image.frame)
    return [_image_item(sources[uid], sorted(numbers)) for uid, numbers in frames.items()]


def _image_item(source: SourceInstance, frames: list[int]) -> Dataset:
    """An IMAGE item, or COMPOSITE for an object that is none: spectroscopy and private classes (PS3.3 C.17.3)."""
    if "Image Storage" in source.sop_class_uid.name:
        return hd.SourceImageForMeasurementGroup(
            referenced_sop_class_uid=source.sop_class_uid,
            referenced_sop_instance_uid=source.sop_instance_uid,
            referenced_frame_numbers=frames if source.frames > 1 else None,
        )
    return hd.CompositeContentItem(
        name=codes.DCM.SourceOfMeasurement,
        referenced_sop_class_uid=source.sop_class_uid,
        referenced_sop_instance_uid=source.sop_instance_uid,
        relationship_type="CONTAINS",
    )


def _plain(text: str) -> str:
    """`text` without control characters, which a text item may not hold (PS3.5 6.2, UT)."""
    return "".join(character if character.isprintable() else " " for character in text)
