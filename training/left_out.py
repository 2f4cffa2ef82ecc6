"""What the folds of a bundle say of the real groups they left out: accuracy, alarms, and headers swapped on purpose.

    python -m training.left_out RUN --real REAL --out OUT

Every volume is judged by the fold that has seen nothing of its group. Headers are swapped between volumes of different
classes, each volume with one of every other class of the same part of the body: then only pixels can tell. Of an image
that is out of domain nothing is said, before or after; so those that are read are counted on their own too.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom import Dataset

from inference.atomic import replace_file
from inference.bundle import open_bundle
from inference.model import load_model
from inference.read import Reader
from inference.reading import SeriesReading
from training.benchmark.corruptions import as_datasets, read_datasets
from training.benchmark.figures import figures
from training.benchmark.observe import Observed, Outcome, observe
from training.benchmark.report import markdown
from training.benchmark.shares import auroc, auroc_interval
from training.benchmark.truth import Truth, read_truth
from training.bundle import RECIPE
from training.bundle_judges import series_folders
from training.bundle_run import Run
from training.files import write_json
from training.recipe import load_recipe
from training.simulate.dicom.changes import description
from training.simulate.dicom.corruptions import CORRUPTIONS
from training.simulate.dicom.descriptions import AGENT, SILENT

SWAPS: Final = ("swap-header", "swap-parameters", "swap-description")
ENOUGH: Final = 3  # volumes of a class that has an accuracy of its own
# Pairs that are told apart by little, quoted on their own.
NEAR: Final = (("T1", "T2"), ("T2", "FLAIR"), ("T1", "T1C"), ("T2S", "DWI"))
# Classes that the same times fit: an agent changes none of them, and all of the others take long ones.
SAME_TIMES: Final = (frozenset({"T1", "T1C"}), frozenset({"T2", "T2-EPI", "DWI", "ADC"}))
OWN, KEPT = "left-out groups", "left out of every fold"


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A left-out volume as DICOM, and the reader that has not seen its group."""

    truth: Truth
    datasets: list[Dataset]
    reader: Reader


@dataclass(frozen=True, kw_only=True)
class Swapped:
    """One series before and after it got the header of another class."""

    corruption: str
    series: str
    classes: tuple[str, str]  # its own, the other's
    description: str  # of the series that lent it
    before: SeriesReading
    after: SeriesReading

    @property
    def is_read(self) -> bool:
        """Whether the image was read at all; that does not depend on the header."""
        return any(stack.status == "read" for stack in self.before.stacks)

    @property
    def times_differ(self) -> bool:
        """Whether the times of one class contradict the image of the other."""
        return not any(set(self.classes) <= same for same in SAME_TIMES)

    @property
    def says_another(self) -> bool:
        """Whether what the other is called contradicts the image; saying nothing does not, nor not naming an agent."""
        if set(self.classes) == {"T1", "T1C"}:
            return any(word in self.description for word in AGENT)
        return self.description not in SILENT


def folds_observed(run: Run, alarm_rate: float) -> tuple[dict[str, Observed], list[Volume]]:
    """What was said of all left-out volumes: of groups that the whole bundle is trained on, and of the others."""
    size_px = load_recipe(RECIPE, []).model.image.size_px
    pooled = {name: Observed(stacks=[], alarms=[], members={}) for name in (OWN, KEPT)}
    volumes: list[Volume] = []
    for fold in run.folds(size_px):
        kept = {f"{one.volume}-{one.caption.plane}" for one in fold.slices(size_px)[1] if one.kept_from_training}
        reader = Reader(model=load_model(open_bundle(fold.folder / "out")), alarm_rate=alarm_rate)
        found = observe(fold.left_out_series, read_truth(fold.left_out_series), reader)
        for outcome in found.stacks:
            pooled[KEPT if outcome.truth.series in kept else OWN].stacks.append(outcome)
        for alarm in found.alarms:
            pooled[KEPT if alarm.truth.series in kept else OWN].alarms.append(alarm)
        truth_of = {alarm.truth.series: alarm.truth for alarm in found.alarms}
        volumes += [
            Volume(truth=truth_of[name], datasets=as_datasets(members), reader=reader)
            for name, members in sorted(found.members.items())
        ]
    return pooled, volumes


def flagged_under_drawn_headers(run: Run, alarm_rate: float) -> list[tuple[str, bool]]:
    """Of every left-out volume that calibrates the alarms of the other folds, under each of its headers, its name and
    whether the fold that has seen nothing of it flags it: a volume has one header above, and headers are drawn by
    chance.
    """
    flags: list[tuple[str, bool]] = []
    for fold in run.folds(load_recipe(RECIPE, []).model.image.size_px):
        reader = Reader(model=load_model(open_bundle(fold.folder / "out")), alarm_rate=alarm_rate)
        found = [observe(root, read_truth(root), reader) for root in series_folders(fold.left_out_clean)]
        flags += [(alarm.truth.series, alarm.flagged) for one in found for alarm in one.alarms]
    return flags


def swapped(volumes: Sequence[Volume]) -> Iterator[Swapped]:
    """Every counted volume with the header of one volume of each other class of the same part of the body."""
    rng = np.random.default_rng(0)
    counted = [one for one in volumes if one.truth.counted]
    by_class: dict[tuple[str, str], list[Volume]] = defaultdict(list)
    for one in counted:
        by_class[one.truth.body, one.truth.label].append(one)
    chosen = [corruption for corruption in CORRUPTIONS if corruption.name in SWAPS]
    for one in counted:
        before = read_datasets(one.datasets, one.reader)
        for (_, label), others in sorted(by_class.items()):
            if not _differ(one.truth, others[0].truth):
                continue
            lender = others[int(rng.integers(len(others)))]
            for corruption in chosen:
                changed = corruption.apply(one.datasets, rng, lender.datasets)
                if changed is not None:
                    after = read_datasets(changed, one.reader)
                    yield Swapped(
                        corruption=corruption.name,
                        series=one.truth.series,
                        classes=(one.truth.label, label),
                        description=description(lender.datasets[0]),
                        before=before,
                        after=after,
                    )


def _differ(one: Truth, other: Truth) -> bool:
    """Whether pixels can tell the two apart: another contrast of the same part of the body, or an agent."""
    contrasts = not set(one.accepted) & set(other.accepted)
    return one.body == other.body and (contrasts or {one.label, other.label} == {"T1", "T1C"})


def swap_figures(found: Sequence[Swapped]) -> dict[str, Any]:
    """The area under the curve of each kind of swap, of what contradicts the image, and of near pairs."""
    by_kind = {name: [one for one in found if one.corruption == name] for name in SWAPS}
    by_kind[f"{SWAPS[1]}, where times differ"] = [one for one in by_kind[SWAPS[1]] if one.times_differ]
    by_kind[f"{SWAPS[2]}, where it says another"] = [one for one in by_kind[SWAPS[2]] if one.says_another]
    near = {" and ".join(pair): [one for one in by_kind[SWAPS[0]] if set(one.classes) == set(pair)] for pair in NEAR}
    return {
        "kinds": {name: _area(part) for name, part in by_kind.items()},
        "near": {name: _area(part) for name, part in near.items()},
    }


def _area(found: Sequence[Swapped]) -> dict[str, Any]:
    read = [one for one in found if one.is_read]
    return {
        "series": len(found),
        **_separation(found, ""),
        "read": len(read),
        **_separation(read, "_of_read"),
        "flagged": counted_of_volumes([(one.series, one.after.flagged) for one in found]),
        "flagged_before": counted_of_volumes([(one.series, one.before.flagged) for one in found]),
    }


def counted_of_volumes(flags: Sequence[tuple[str, bool]]) -> str:
    """How many are flagged, each with its volume's name, and of how many volumes they are.

    No exact interval: one image under several headers is no several independent series.
    """
    if not flags:
        return "none"
    flagged = [volume for volume, is_flagged in flags if is_flagged]
    volumes = len({volume for volume, _ in flags})
    share_flagged = 100 * len(flagged) / len(flags)
    return f"{len(flagged)} of {len(flags)} ({share_flagged:.1f} %; {len(set(flagged))} of {volumes} volumes)"


def _separation(found: Sequence[Swapped], of: str) -> dict[str, Any]:
    before, after = [one.before.score for one in found], [one.after.score for one in found]
    series = [one.series for one in found]
    interval = auroc_interval(before, after, of=(series, series), draws=200)
    return {f"auroc{of}": auroc(before, after), f"interval{of}": interval}


def macro(stacks: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """By part of the body: the mean over classes with enough volumes of the share that is right, of those answered and
    of all."""
    by_class: dict[str, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for one in stacks:
        if one.truth.counted:
            by_class[one.truth.body][one.truth.label].append(one)
    found: dict[str, dict[str, Any]] = {}
    for body, classes in by_class.items():
        enough = {label: group for label, group in classes.items() if len(group) >= ENOUGH}
        if enough:
            answered = [[one.right for one in group if one.answer] for group in enough.values()]
            shares = [np.mean(flags) for flags in answered if flags]
            found[body] = {
                "classes": sorted(enough),
                "of_answered": float(np.mean(shares)) if shares else nan,
                "of_all": float(np.mean([np.mean([one.right for one in group]) for group in enough.values()])),
            }
    return found


def page(document: Mapping[str, Any]) -> str:
    """`left-out.md`: the page of a benchmark, macro accuracies and swaps."""
    lines = [markdown(document), "## Mean over classes", ""]
    for name, parts in document["macro"].items():
        lines += [
            f"* {name}, {body}: {one['of_answered']:.3f} of those answered, {one['of_all']:.3f} with abstentions as "
            f"wrong ({', '.join(one['classes'])})"
            for body, one in parts.items()
        ]
    lines += ["", "## Alarms on clean stacks", ""]
    lines += [f"* left-out groups, each under every header drawn for it: {document['flagged_under_drawn_headers']}"]
    lines += ["", "## Headers swapped between classes", ""]
    lines += ["| swap | series | AUROC (95 %) | read | AUROC of those read | flagged | before |", "|---|" + 6 * "---|"]
    for part in document["swaps"].values():
        for name, one in part.items():
            areas = [
                f"{one[f'auroc{of}']:.3f} ({one[f'interval{of}'][0]:.3f} to {one[f'interval{of}'][1]:.3f})"
                for of in ("", "_of_read")
            ]
            cells = (name, one["series"], areas[0], one["read"], areas[1], one["flagged"], one["flagged_before"])
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge the folds of a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of `python -m training.bundle`, its folds finished")
    parser.add_argument("--real", type=Path, required=True, help="folder with slices.csv")
    parser.add_argument("--out", type=Path, default=Path("left-out"))
    parser.add_argument("--alarm-rate", type=float, default=0.01)
    options = parser.parse_args(arguments)
    run = Run(folder=options.run, real=options.real, labels=None)
    pooled, volumes = folds_observed(run, options.alarm_rate)
    document = {
        "bundle": "four folds",
        "sha256": "each without its groups",
        "data": {name: figures(found, options.alarm_rate) for name, found in pooled.items()},
        "macro": {name: macro(found.stacks) for name, found in pooled.items()},
        "flagged_under_drawn_headers": counted_of_volumes(flagged_under_drawn_headers(run, options.alarm_rate)),
        "swaps": swap_figures(list(swapped(volumes))),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "left-out.json", document)
    replace_file(options.out / "left-out.md", page(document).encode())
    print(page(document))  # noqa: T201 - the command's own output


if __name__ == "__main__":
    main()
