"""All volumes of a source to slices, labels and a split, in parallel, going on where an earlier run stopped."""

import csv
import io
import logging
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from inference.atomic import replace_file
from inference.captions import text
from inference.reasons import Refused
from training.data.labels import LabelMap, label_map, scheme
from training.data.rows import SliceRow, write_rows
from training.data.split import PARTS, Part, split
from training.errors import RefusedError, VolumeError
from training.files import make_folder, write_json
from training.preprocess.convert import Broken, Converted, Outcome, Task, convert
from training.preprocess.dicom import find_dicom
from training.preprocess.nifti import find_nifti
from training.preprocess.spec import PreprocessSpec
from training.progress import progress

log = logging.getLogger(__name__)

LABELS: Final = "labels.json"
BROKEN: Final = "broken.csv"
SUMMARY: Final = "preprocess.json"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What came of a run; also `preprocess.json`."""

    volumes: int
    broken: int
    slices: dict[str, int]  # by part
    patients: dict[str, int]  # by part
    labels: int
    labels_of_one_volume: int  # their only positives are slices of that volume


def preprocess(source: Path, out: Path, spec: PreprocessSpec, *, seed: int = 0, workers: int = 1) -> Summary:
    """Write slices, `train.csv`, `val.csv`, `test.csv`, `labels.json`, `broken.csv` and a summary below `out`.

    RefusedError if nothing usable is found or the split cannot be made.
    """
    if not source.exists():
        raise RefusedError(f"{source} does not exist")
    make_folder(out)
    tasks, broken = _find(source)
    if spec.parts_patients:
        _check_patients(source, tasks)
    converted: list[Converted] = []
    for outcome in progress(_run(tasks, spec, out, workers), total=len(tasks), what="volumes"):
        (converted if isinstance(outcome, Converted) else broken).append(outcome)  # pyright: ignore[reportArgumentType]
    _write_broken(out / BROKEN, broken)
    for entry in broken:
        log.warning("left out: %s: %s: %s", entry.label, entry.code, entry.message)
    if not converted:
        raise RefusedError(f"{source}: no volume can be used; {BROKEN} says why for each of {len(broken)}")
    return _write(out, sorted(converted, key=lambda volume: volume.name), len(broken), spec, seed)


def _find(source: Path) -> tuple[list[Task], list[Broken]]:
    tasks: list[Task] = [*find_nifti(source)]
    broken: list[Broken] = []
    nifti = {task.label for task in tasks}
    for found in find_dicom(source):
        if isinstance(found, Refused):
            if not found.path.endswith((".nii", ".nii.gz")):
                broken.append(Broken(label=found.path, code=found.code, message=found.message))
        else:
            tasks.append(found)
    log.info("%s: %d NIfTI files, %d DICOM stacks", source, len(nifti), len(tasks) - len(nifti))
    return tasks, broken


def _check_patients(source: Path, tasks: Iterable[Task]) -> None:
    """RefusedError names the first volume of which nothing says whose it is; broken ones are left out later."""
    for task in tasks:
        with suppress(VolumeError):
            if task.group is None:
                raise RefusedError(
                    f"{source / task.label}: its sidecar has no PatientID and no part of its path begins with sub-; a "
                    "split by patient needs one of them. Without: preprocess.split_by=volume, with slices of one "
                    "patient in several parts"
                )


def _run(tasks: Sequence[Task], spec: PreprocessSpec, out: Path, workers: int) -> Iterator[Outcome]:
    if workers <= 1:
        yield from (convert(task, spec, out) for task in tasks)
        return
    # spawn: forking a process that has threads (torch, a progress bar) can deadlock
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(convert, task, spec, out) for task in tasks]
        for future in futures:
            yield future.result()


def _write(out: Path, volumes: Sequence[Converted], broken: int, spec: PreprocessSpec, seed: int) -> Summary:
    labels = label_map((volume.caption for volume in volumes), scheme(spec.labels))
    labels.write(out / LABELS)
    shares: dict[Part, float] = {"train": spec.train_share, "val": spec.val_share, "test": spec.test_share}
    units = {volume.name: _group(volume) if spec.split_by == "patient" else volume.name for volume in volumes}
    parts = split(units, shares, seed=seed)
    rows: dict[Part, list[SliceRow]] = {part: [] for part in PARTS}
    for volume in volumes:
        rows[parts[volume.name]].extend(_rows(volume, labels, spec))
    for part, of_part in rows.items():
        write_rows(out / f"{part}.csv", of_part)
    counts = Counter(labels.number(volume.caption) for volume in volumes)
    summary = Summary(
        volumes=len(volumes),
        broken=broken,
        slices={part: len(of_part) for part, of_part in rows.items()},
        patients={part: len({row.group for row in of_part}) for part, of_part in rows.items()},
        labels=len(counts),
        labels_of_one_volume=sum(count == 1 for count in counts.values()),
    )
    write_json(out / SUMMARY, {"spec": asdict(spec), "seed": seed, **asdict(summary)})
    return summary


def _group(volume: Converted) -> str:
    """The patient, or the volume itself where nobody is known and none is to be kept apart."""
    return volume.name if volume.group is None else volume.group


def _rows(volume: Converted, labels: LabelMap, spec: PreprocessSpec) -> Iterator[SliceRow]:
    for picture in volume.pictures:
        yield SliceRow(
            filepath=picture,
            text=text(volume.caption, spec.template),
            label=labels.number(volume.caption),
            volume=volume.name,
            group=_group(volume),
            caption=volume.caption,
        )


def _write_broken(path: Path, broken: Iterable[Broken]) -> None:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["volume", "code", "message"])
    writer.writerows([entry.label, entry.code, entry.message] for entry in broken)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, table.getvalue().encode())
