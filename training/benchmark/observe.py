"""Every series of a folder read by the code that reads in a hospital, and what is known of it put beside the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.contrast import infer
from inference.read import Reader, SeriesResult, StackImages, read_paths
from inference.reading import Estimate, SeriesReading, StackReading
from inference.sources import Instance
from training.benchmark.truth import Truth, Truths


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What was said of one stack, beside what is known of it."""

    truth: Truth
    vendor: str
    field_t: float | None
    status: str
    reason: str | None
    answer: str | None
    probability: float | None
    post_contrast: float | None  # probability of an agent
    fat_suppressed: float | None
    series_uid: str
    guess: str | None  # the likeliest contrast of what was encoded, also where the answer was withheld as too unlikely
    guess_probability: float
    plane: str | None
    recorded: Mapping[str, float | str | None]  # of the header
    estimates: Mapping[str, Estimate]

    @property
    def right(self) -> bool:
        """Whether the answer is one of those accepted."""
        return self.answer in self.truth.accepted


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """What was said of the header of one series."""

    truth: Truth
    score: float
    p_value: float | None
    flagged: bool
    by_rules: bool
    codes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Everything that a benchmark is made of."""

    stacks: list[Outcome]
    alarms: list[Alarm]
    members: dict[str, list[Instance]]


def observe(folder: Path, truths: Truths, reader: Reader) -> Observed:
    """Read every series of a folder and put what is known beside it; what the tables do not name is left out."""
    found = Observed(stacks=[], alarms=[], members={})

    def note(members: Sequence[Instance], result: SeriesResult) -> None:
        reading = result.reading
        known = [
            (stack, truth)
            for stack in reading.stacks
            if (truth := truths.of(_example(stack), reading.series_instance_uid)) is not None
        ]
        by_uid = {instance.sop_instance_uid: instance for instance in members}
        seen = {images.index: images for images in result.stacks}
        found.stacks.extend(
            _outcome(stack, truth, _example_of(stack, by_uid), _guess(seen.get(stack.index), reader))
            for stack, truth in known
        )
        if known:
            found.alarms.append(_alarm(reading, known[0][1]))
            if known[0][1].readable and known[0][1].clean:
                found.members[known[0][1].series] = list(members)

    read_paths([folder], reader, observe=note)
    return found


def _example(stack: StackReading) -> str:
    return stack.images[0].sop_instance_uid if stack.images else stack.example.sop_instance_uid if stack.example else ""


def _example_of(stack: StackReading, by_uid: Mapping[Any, Instance]) -> Instance:
    return by_uid.get(_example(stack)) or next(iter(by_uid.values()))


def _guess(images: StackImages | None, reader: Reader) -> tuple[str | None, float]:
    """The likeliest contrast and its probability, whatever the bundle's threshold; None for what is out of domain."""
    if images is None or images.embeddings is None or images.judgement is None or reader.model is None:
        return None, 0.0
    reason = images.judgement.reason
    if reason is not None and reason.code == "out-of-domain":
        return None, 0.0
    contrast = infer(images.embeddings, reader.model.grid).contrast
    return contrast.label, contrast.probability


def _outcome(stack: StackReading, truth: Truth, instance: Instance, guess: tuple[str | None, float]) -> Outcome:
    header, contrast = instance.header, stack.contrast
    agent = contrast.post_contrast if contrast else None
    fat = contrast.fat_suppressed if contrast else None
    return Outcome(
        truth=truth,
        vendor=(header.manufacturer or "unknown").split()[0].upper(),
        field_t=header.magnetic_field_strength_t,
        status=stack.status,
        reason=stack.reason.code if stack.reason else None,
        answer=contrast.label if contrast else None,
        probability=contrast.probability if contrast else None,
        post_contrast=None if agent is None else agent.probability if agent.value else 1 - agent.probability,
        fat_suppressed=None if fat is None else fat.probability if fat.value else 1 - fat.probability,
        series_uid=str(instance.series_instance_uid),
        guess=guess[0],
        guess_probability=guess[1],
        plane=stack.plane,
        recorded=stack.header,
        estimates=stack.estimates,
    )


def _alarm(reading: SeriesReading, truth: Truth) -> Alarm:
    findings = [finding for stack in reading.stacks for finding in stack.findings]
    return Alarm(
        truth=truth,
        score=reading.score,
        p_value=reading.p_value,
        flagged=reading.flagged,
        by_rules=any(finding.source == "rules" and finding.severity == "error" for finding in findings),
        codes=tuple(dict.fromkeys(finding.code for finding in findings)),
    )
