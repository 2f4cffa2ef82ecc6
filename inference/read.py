"""From files to readings: the whole of mrclip's thinking on one screen.

find -> load -> group into series -> split into stacks -> rules -> slices -> encoder -> contrast, evidence, alarm.
A stack ends as read, abstained or unsupported; nothing here raises for what a file holds.
"""

import hashlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from inference import rules
from inference.claims import Claim, claim, description_claim
from inference.consistency import Judgement, judge
from inference.header import FrameHeader
from inference.identifiers import SopInstanceUid
from inference.labels import UNKNOWN
from inference.model import Model
from inference.pixels import PixelError, PixelSpec, prepare, read_slices
from inference.reading import EncodedImage, Finding, Inconsistency, Reading, SeriesReading, StackReading, Status
from inference.reasons import ABSTAINED, UNSUPPORTED, Reason, Refused
from inference.sources import Instance, find, group, load
from inference.stacks import ChosenSlice, Stack, choose, split

MAX_STACKS: Final = 32
_SPECTROSCOPY: Final = "1.2.840.10008.5.1.4.1.1.4.2"
# How much a finding of the rules weighs in a score; several add up as independent reasons for doubt. What no vendor
# writes outranks whatever an image leaves unflagged.
_WEIGHT: Final = {"info": 0.05, "warning": 0.5, "error": 0.999}
# What the slices are prepared with while no model says otherwise.
DEFAULT_SPEC: Final = PixelSpec(size_px=160)
DEFAULT_SLICES: Final = 16


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Everything that decides what is said about a series; its digest names it in reports."""

    model: Model | None
    alarm_rate: float = 0.01

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over bundle, calibration, rules with their lexicon, and alarm rate."""
        parts = (*(self.model.digests if self.model else ("none",)), rules.digest(), repr(self.alarm_rate))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class StackImages:
    """What was looked at in one stack: pixels (n, channels, size, size) as prepared, embeddings (n, dim) if encoded."""

    index: int
    pixels: Float32[np.ndarray, "n c s s"]
    embeddings: Float32[np.ndarray, "n d"] | None
    judgement: Judgement | None
    spec: PixelSpec

    def pictures(self) -> list[npt.NDArray[np.uint8]]:
        """The slices as a person sees them, uint8 (size, size) each."""
        grey = self.pixels[:, 0] * self.spec.std + self.spec.mean
        return list((grey.clip(0, 1) * 255).round().astype(np.uint8))


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesResult:
    """A reading and what it was made from."""

    reading: SeriesReading
    stacks: tuple[StackImages, ...]


Observe = Callable[[Sequence[Instance], SeriesResult], None]


def read_series(instances: Sequence[Instance], reader: Reader) -> SeriesResult:
    """Read one series, all of whose instances are given. ValueError for none."""
    if not instances:
        raise ValueError("a series without instances cannot be read")
    by_uid = {instance.sop_instance_uid: instance for instance in instances}
    stacks = split([header for instance in instances for header in instance.headers])
    results = [_read_stack(stack, stacks, by_uid, reader) for stack in stacks[:MAX_STACKS]]
    readings = [reading for reading, _ in results]
    if len(stacks) > MAX_STACKS:
        readings.append(_rest(stacks))
    first = instances[0]
    p_values = [reading.inconsistency.p_value for reading in readings if reading.inconsistency.p_value is not None]
    reading = SeriesReading(
        study_instance_uid=first.study_instance_uid,
        series_instance_uid=first.series_instance_uid,
        modality=first.modality,
        instances=len(by_uid),
        p_value=min(p_values, default=None),
        stacks=tuple(readings),
    )
    return SeriesResult(reading=reading, stacks=tuple(images for _, images in results if images is not None))


def read_paths(
    paths: Iterable[Path],
    reader: Reader,
    *,
    observe: Observe | None = None,
    advance: Callable[[str, int], None] = lambda phase, count: None,
    threads: int | None = None,
) -> Reading:
    """Read every series below `paths`, `threads` at once (default: one a core); `observe` sees them in order."""
    instances: list[Instance] = []
    refused: list[Refused] = []
    for loaded in map(load, find(paths)):
        (instances if isinstance(loaded, Instance) else refused).append(loaded)  # pyright: ignore[reportArgumentType]
        advance("files", 1)
    series, conflicts = group(instances)
    readings: list[SeriesReading] = []
    for members, result in _in_order(series.values(), reader, threads or len(os.sched_getaffinity(0))):
        readings.append(result.reading)
        if observe is not None:
            observe(members, result)
        advance("series", 1)
    return Reading(
        model=None if reader.model is None else reader.model.identity,
        alarm_rate=reader.alarm_rate,
        series=tuple(readings),
        refused=(*refused, *conflicts),
    )


def _in_order(
    series: Iterable[list[Instance]], reader: Reader, threads: int
) -> Iterator[tuple[list[Instance], SeriesResult]]:
    """Read `threads` series at once; only as many results are held, however many series there are."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[list[Instance], Future[SeriesResult]]] = deque()
        for members in series:
            waiting.append((members, pool.submit(read_series, members, reader)))
            if len(waiting) > threads:
                first, future = waiting.popleft()
                yield first, future.result()
        for members, future in waiting:
            yield members, future.result()


def _read_stack(
    stack: Stack, stacks: Sequence[Stack], instances: Mapping[SopInstanceUid, Instance], reader: Reader
) -> tuple[StackReading, StackImages | None]:
    """One stack: rules always, pixels where there are any, the model where there is one."""
    said = _Said(stack=stack, claim=claim(stack.header), findings=rules.check(stack, stacks))
    reason = _unsupported(stack)
    if reason is not None:
        return said.unread(reason), None
    manifest = reader.model.bundle.manifest if reader.model else None
    chosen = choose(stack, manifest.slices if manifest else DEFAULT_SLICES)
    spec = manifest.image if manifest else DEFAULT_SPEC
    try:
        slices = read_slices(chosen, instances)
        pixels = prepare(slices, spec, pixel_spacing_mm=stack.header.pixel_spacing_mm)
    except PixelError as error:
        return said.unread(error.reason), None
    if reader.model is None:
        images = StackImages(index=stack.index, pixels=pixels, embeddings=None, judgement=None, spec=spec)
        return said.unread(Reason(code="no-model", message=ABSTAINED["no-model"])), images
    embeddings = reader.model.encoder.encode_images(pixels)
    judgement = judge(embeddings, model=reader.model, stack=stack, claim=said.claim, alarm_rate=reader.alarm_rate)
    images = StackImages(index=stack.index, pixels=pixels, embeddings=embeddings, judgement=judgement, spec=spec)
    return said.judged(judgement, chosen, reader.alarm_rate), images


def _unsupported(stack: Stack) -> Reason | None:
    """Why the header alone says that no contrast can be read."""
    header = stack.header
    if header.sop_class_uid == _SPECTROSCOPY:
        code = "spectroscopy"
    elif header.modality != "MR":
        code = "not-mr"
    elif not header.has_pixels:
        code = "no-pixels"
    elif "LOCALIZER" in header.image_type:
        code = "localizer"
    elif (header.samples_per_pixel or 1) != 1:
        code = "colour"
    else:
        return None
    return Reason(code=code, message=UNSUPPORTED[code])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """What is known of a stack before its pixels: its header's claim and what the rules found."""

    stack: Stack
    claim: Claim
    findings: tuple[Finding, ...]

    def unread(self, reason: Reason) -> StackReading:
        """The reading of a stack whose image said nothing."""
        status: Status = "abstained" if reason.code in ABSTAINED else "unsupported"
        return self._reading(status=status, reason=reason)

    def judged(self, judgement: Judgement, chosen: Sequence[ChosenSlice], alarm_rate: float) -> StackReading:
        """The reading of a stack that was shown to the model."""
        shown = dict.fromkeys((one.sop_instance_uid, one.frame) for one in chosen)  # tiles of one mosaic are one image
        return replace(
            self._reading(status=judgement.status, reason=judgement.reason),
            images=tuple(EncodedImage(sop_instance_uid=uid, frame=frame) for uid, frame in shown),
            contrast=judgement.contrast,
            estimates=judgement.estimates,
            findings=(*self.findings, *judgement.findings),
            inconsistency=self._inconsistency(judgement.score, judgement.p_value, alarm_rate),
        )

    def _reading(self, *, status: Status, reason: Reason | None) -> StackReading:
        stack, header = self.stack, self.stack.header
        return StackReading(
            index=stack.index,
            status=status,
            reason=reason,
            selector=stack.selector,
            slices=stack.slices,
            plane=stack.plane,
            oblique_deg=stack.oblique_deg,
            images=(),
            contrast=None,
            estimates={},
            header=_recorded(header),
            inconsistency=self._inconsistency(0.0, None, 0.0),
            findings=self.findings,
            example=EncodedImage(sop_instance_uid=header.sop_instance_uid, frame=header.frame),
            claimed_contrast=None if self.claim.label == UNKNOWN else self.claim.label,
        )

    def _inconsistency(self, image_score: float, p_value: float | None, alarm_rate: float) -> Inconsistency:
        doubt = math.prod(1 - _WEIGHT[finding.severity] for finding in self.findings) * (1 - image_score)
        flagged = any(finding.severity == "error" for finding in self.findings)
        return Inconsistency(
            score=1 - doubt, p_value=p_value, flagged=flagged or (p_value is not None and p_value <= alarm_rate)
        )


def _recorded(header: FrameHeader) -> dict[str, float | str | None]:
    """What the file says, in DICOM units, never repaired."""
    return {
        "EchoTime_ms": header.echo_time_ms,
        "RepetitionTime_ms": header.repetition_time_ms,
        "InversionTime_ms": header.inversion_time_ms,
        "FlipAngle_deg": header.flip_angle_deg,
        "b_value_s_mm2": header.b_value_s_mm2,
        "SeriesDescription_contrast": description_claim(header.series_description).label,
    }


def _rest(stacks: Sequence[Stack]) -> StackReading:
    """One entry that stands for the stacks beyond the limit."""
    first = stacks[MAX_STACKS]
    message = f"{UNSUPPORTED['too-many-stacks']}: {len(stacks)}, of which the first {MAX_STACKS} are read"
    said = _Said(stack=first, claim=claim(first.header), findings=())
    return said.unread(Reason(code="too-many-stacks", message=message))
