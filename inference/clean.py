"""Clean series read for calibration: what `calibration.fit` takes, from files."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.calibration import StackRecord
from inference.read import Reader, SeriesResult, read_paths
from inference.sources import Instance


@dataclass(frozen=True, kw_only=True)
class CleanSeries:
    """The records of series that were given as clean."""

    records: tuple[tuple[StackRecord, ...], ...]  # one entry a series, its stacks within
    contradictory: int  # series left out because the rules found an error in them: they are not clean
    unread: int  # series left out because no stack of them was shown to the model


def read_clean(
    paths: Iterable[Path], reader: Reader, *, advance: Callable[[str, int], None] = lambda phase, count: None
) -> CleanSeries:
    """Read every series below `paths` with a model; ValueError where the reader has none."""
    if reader.model is None:
        raise ValueError("a calibration needs a model; rules alone have none")
    records: list[tuple[StackRecord, ...]] = []
    contradictory = unread = 0

    def observe(_members: Sequence[Instance], result: SeriesResult) -> None:
        nonlocal contradictory, unread
        found = tuple(stack.judgement.record for stack in result.stacks if stack.judgement is not None)
        findings = [finding for stack in result.reading.stacks for finding in stack.findings]
        if any(finding.source == "rules" and finding.severity == "error" for finding in findings):
            contradictory += 1
        elif not found:
            unread += 1
        else:
            records.append(found)

    read_paths(paths, reader, observe=observe, advance=advance)
    return CleanSeries(records=tuple(records), contradictory=contradictory, unread=unread)
