"""The outcomes as a table: means over the seeds, and differences to the published recipe, seed by seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to train."""

    name: str
    overrides: tuple[str, ...] = ()
    published_labels: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One run, measured on held-out people without the description, with our labels for all."""

    name: str
    seed: int
    recall_at_1: float  # image to caption, slices
    chance_at_1: float
    volume_recall_at_1: float  # the same with the mean embedding of a volume
    reverse_recall_at_1: float  # caption to image
    echo_error_ms: float  # median, of the retrieved caption
    probe_balanced: float  # contrast, linear probe, balanced accuracy
    cpu_s: float


_BEGIN: Final = "<!-- table: python -m training.comparison -->"
_END: Final = "<!-- end of table -->"
_COLUMNS: Final[Sequence[tuple[str, Callable[[Outcome], float], str]]] = (
    ("R@1 slice", lambda one: one.recall_at_1, "{:.3f}"),
    ("R@1 volume", lambda one: one.volume_recall_at_1, "{:.3f}"),
    ("R@1 caption to image", lambda one: one.reverse_recall_at_1, "{:.3f}"),
    ("TE error, ms", lambda one: one.echo_error_ms, "{:.1f}"),
    ("contrast probe", lambda one: one.probe_balanced, "{:.3f}"),
    ("CPU s", lambda one: one.cpu_s, "{:.0f}"),
)


def table(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table; mean and standard deviation over seeds, and the paired difference of R@1 to the first row."""
    by_name: dict[str, list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda one: one.seed):
        by_name.setdefault(outcome.name, []).append(outcome)
    reference = next(iter(by_name.values()))
    head = ["", *(name for name, _, _ in _COLUMNS), "R@1 slice against the first row, by seed"]
    lines = [_line(head), _line(["---"] * len(head))]
    for name, runs in by_name.items():
        cells = [_spread([of(run) for run in runs], form) for _, of, form in _COLUMNS]
        pairs = [run.recall_at_1 - other.recall_at_1 for run, other in zip(runs, reference, strict=True)]
        difference = "" if runs is reference else f"{mean(pairs):+.3f} ({', '.join(f'{one:+.3f}' for one in pairs)})"
        lines.append(_line([name, *cells, difference]))
    return "\n".join(lines) + "\n"


def put_into(page: str, text: str) -> str:
    """`page` with the table between its two marks made anew; ValueError if it has no marks."""
    before, found, rest = page.partition(_BEGIN)
    _, ended, after = rest.partition(_END)
    if not (found and ended):
        raise ValueError(f"the page has no {_BEGIN} and {_END}")
    return f"{before}{_BEGIN}\n{text}{_END}{after}"


def _spread(values: Sequence[float], form: str) -> str:
    if len(values) < 2:
        return form.format(values[0])
    return f"{form.format(mean(values))} ± {form.format(stdev(values))}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
