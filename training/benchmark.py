"""`mrclip-train benchmark`: what a bundle is worth on series whose truth is known by other means than their headers."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from inference.atomic import replace_file
from inference.bundle import default_bundle, open_bundle
from inference.manifest import BundleError
from inference.model import load_model
from inference.read import Reader, SeriesResult, read_paths
from inference.reading import SeriesReading, StackReading
from inference.sources import Instance
from training.benchmark_corruptions import corrupted_scores
from training.benchmark_figures import auroc, auroc_interval, share
from training.benchmark_report import markdown
from training.benchmark_truth import Truth, Truths, read_truth
from training.errors import RefusedError
from training.files import write_json


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
        found.stacks.extend(_outcome(stack, truth, by_uid, reading) for stack, truth in known)
        if known:
            found.alarms.append(_alarm(reading, known[0][1]))
            found.members[known[0][1].series] = list(members)

    read_paths([folder], reader, observe=note)
    return found


def _example(stack: StackReading) -> str:
    return stack.images[0].sop_instance_uid if stack.images else stack.example.sop_instance_uid if stack.example else ""


def _outcome(stack: StackReading, truth: Truth, instances: Mapping[Any, Instance], reading: SeriesReading) -> Outcome:
    instance = instances.get(_example(stack)) or next(iter(instances.values()))
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
        series_uid=str(reading.series_instance_uid),
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


def contrast_figures(stacks: Sequence[Outcome]) -> dict[str, Any]:
    """Accuracy by series among the counted, where it was answered; abstentions; a confusion table."""
    by_series: dict[str, list[Outcome]] = defaultdict(list)
    for one in stacks:
        if one.truth.counted:
            by_series[one.series_uid].append(one)
    answered = [[one for one in group if one.answer] for group in by_series.values()]
    right = [all(one.right for one in group) for group in answered if group]
    confusion: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for group in by_series.values():
        for one in group:
            confusion[one.truth.label][one.answer or f"({one.reason})"] += 1
    return {
        "series": len(by_series),
        "right": share(right).to_json(),
        "right_text": str(share(right)),
        "abstained": share([not group for group in answered]).to_json(),
        "abstained_text": str(share([not group for group in answered])),
        "confusion": {label: dict(row) for label, row in sorted(confusion.items())},
    }


_STRATA: Final[Mapping[str, Callable[[Outcome], str]]] = {
    "body": lambda one: one.truth.body,
    "vendor": lambda one: one.vendor,
    "field": lambda one: f"{one.field_t or 0:.1f} T",
    "class": lambda one: one.truth.label,
}


def figures(observed: Observed, alarm_rate: float) -> dict[str, Any]:
    """All figures but those of corruptions."""
    stacks, people = observed.stacks, [one for one in observed.stacks if one.truth.readable]
    strange = [one for one in stacks if not one.truth.readable]
    clean = [alarm for alarm in observed.alarms if alarm.truth.readable]
    by: dict[str, dict[str, Any]] = {}
    for name, key in _STRATA.items():
        groups: dict[str, list[Outcome]] = defaultdict(list)
        for one in people:
            groups[key(one)].append(one)
        by[name] = {value: contrast_figures(group) for value, group in sorted(groups.items())}
    return {
        "contrast": contrast_figures(people),
        "by": by,
        "strange_not_read": str(share([one.status != "read" for one in strange])),
        "strange": [{"series": one.truth.series, "label": one.truth.label, "answer": one.answer} for one in strange],
        "alarm_rate": alarm_rate,
        "flagged": str(share([alarm.flagged for alarm in clean])),
        "flagged_series": [
            {"series": a.truth.series, "p_value": a.p_value, "by_rules": a.by_rules, "codes": a.codes}
            for a in clean
            if a.flagged
        ],
        "p_at_most_5_percent": str(share([a.p_value <= 0.05 for a in clean if a.p_value is not None])),
        "agent_auroc": _answer_auroc(people, "post_contrast", only="T1"),
        "fat_suppression_auroc": _answer_auroc(people, "fat_suppressed", only=None),
        "not_counted": [
            {"series": one.truth.series, "label": one.truth.label, "answer": one.answer or one.reason}
            for one in people
            if not one.truth.counted
        ],
        "wrong": [
            {"series": one.truth.series, "label": one.truth.label, "answer": one.answer, "probability": one.probability}
            for one in people
            if one.truth.counted and one.answer and not one.right
        ],
    }


def _answer_auroc(stacks: Sequence[Outcome], field: str, *, only: str | None) -> dict[str, Any]:
    no, yes = [], []
    for one in stacks:
        known, found = getattr(one.truth, field), getattr(one, field)
        if known is not None and found is not None and (only is None or only in one.truth.accepted):
            (yes if known else no).append(found)
    return {"no": len(no), "yes": len(yes), "auroc": auroc(no, yes), "interval": auroc_interval(no, yes)}


@click.command("benchmark", epilog="Example: mrclip-train benchmark data/real-mr --out benchmark/")
@click.argument("data", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--bundle", type=click.Path(exists=True, path_type=Path), help="[default: the bundle in the package]")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("benchmark"), show_default=True)
@click.option("--alarm-rate", type=float, default=0.01, show_default=True)
@click.option("--corrupt", default=0, show_default=True, help="Series of each folder whose headers are corrupted.")
def command(*, data: tuple[Path, ...], bundle: Path | None, out: Path, alarm_rate: float, corrupt: int) -> None:
    """Measure a bundle on folders with files.csv or truth.csv; writes benchmark.json and benchmark.md."""
    try:
        opened = open_bundle(bundle) if bundle else default_bundle()
    except BundleError as error:
        raise RefusedError(str(error)) from error
    if opened is None:
        raise RefusedError("the package has no default bundle; name one with --bundle")
    reader = Reader(model=load_model(opened), alarm_rate=alarm_rate)
    results: dict[str, Any] = {}
    for folder in data:
        observed = observe(folder, read_truth(folder), reader)
        results[folder.name] = figures(observed, alarm_rate)
        if corrupt:
            results[folder.name]["corruptions"] = corrupted_scores(observed.members, reader, count=corrupt)
    manifest = opened.manifest
    document = {"bundle": f"{manifest.name} {manifest.version}", "sha256": opened.sha256, "data": results}
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "benchmark.json", document)
    replace_file(out / "benchmark.md", markdown(document).encode())
    click.echo(markdown(document))
