"""One volume to its pictures and a record of them; what runs in the worker processes."""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from inference.atomic import replace_file
from inference.captions import FIELDS, Caption, from_mapping
from training.errors import VolumeError
from training.preprocess.spec import PreprocessSpec
from training.preprocess.volume import Volume, pictures


class Task(Protocol):
    """A volume that can be read."""

    @property
    def label(self) -> str: ...
    @property
    def group(self) -> str | None:
        """The patient; None where nothing says who it is."""
        ...

    def state(self) -> str:
        """Another text once the source has changed."""
        ...

    def read(self, spec: PreprocessSpec) -> Volume: ...


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A volume whose pictures are on disk."""

    name: str
    group: str | None
    caption: Caption
    pictures: tuple[str, ...]  # paths below the output folder


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A volume that could not be used, and why."""

    label: str
    code: str
    message: str


Outcome = Converted | Broken


def convert(task: Task, spec: PreprocessSpec, out: Path) -> Outcome:
    """Read, prepare and write one volume; one whose record exists is not read again unless its source changed."""
    name = volume_name(task.label)
    record = out / "volumes" / f"{name}.json"
    known = _recorded(record, task, spec)
    if known is not None:
        return known
    try:
        volume = task.read(spec)
        kept = pictures(volume, spec)
    except VolumeError as error:
        return Broken(label=task.label, code=error.code, message=str(error))
    folder = out / "slices" / name
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[str] = []
    for picture in kept:
        path = folder / f"{picture.number:04d}.png"
        content = io.BytesIO()
        Image.fromarray(picture.pixels).save(content, format="PNG", compress_level=4)
        path.write_bytes(content.getvalue())
        paths.append(path.relative_to(out).as_posix())
    converted = Converted(name=name, group=task.group, caption=volume.caption, pictures=tuple(paths))
    # the record is written last and whole: where it exists, so do the pictures
    record.parent.mkdir(parents=True, exist_ok=True)
    replace_file(record, json.dumps(_document(converted, task, spec)).encode())
    return converted


def volume_name(label: str) -> str:
    """A file name from a label that nobody controls: its plain characters and a digest of the whole."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "_", label).strip("._")[:60]
    return f"{plain}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def _document(converted: Converted, task: Task, spec: PreprocessSpec) -> Mapping[str, Any]:
    caption = {field: converted.caption.get(field) for field in FIELDS}
    return {
        "name": converted.name,
        "group": converted.group,
        "caption": caption,
        "pictures": converted.pictures,
        "spec": _reading_spec(spec),
        "source": task.state(),
    }


def _recorded(record: Path, task: Task, spec: PreprocessSpec) -> Converted | None:
    """What an earlier run left, if it was made in the same way."""
    try:
        document = json.loads(record.read_bytes())
        if (document["spec"], document["source"]) != (_reading_spec(spec), task.state()):
            return None
        return Converted(
            name=document["name"],
            group=task.group,
            caption=from_mapping(document["caption"]),
            pictures=tuple(document["pictures"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _reading_spec(spec: PreprocessSpec) -> dict[str, Any]:
    """The settings that decide what a picture looks like; labels, captions and splits are made afterwards."""
    later = {"template", "labels", "split_by", "train_share", "val_share", "test_share"}
    return {name: value for name, value in asdict(spec).items() if name not in later}
