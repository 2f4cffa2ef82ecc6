"""Where the numbers of a run go: a line to the log always, TensorBoard and Weights & Biases where asked for."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, Self

from inference.atomic import replace_file
from training.errors import RefusedError
from training.train.distributed import is_first

log = logging.getLogger(__name__)


class Tracker(Protocol):
    """Takes the numbers of a step."""

    def record(self, step: int, values: Mapping[str, float]) -> None: ...
    def close(self) -> None: ...


class LinesTracker:
    """`metrics.jsonl` in the folder of the run, one object a line; a resumed run goes on below the step it resumes."""

    def __init__(self, folder: Path, *, resumed: int) -> None:
        self._path = folder / "metrics.jsonl"
        if self._path.exists():
            replace_file(self._path, "".join(_until(self._path, resumed)).encode())

    def record(self, step: int, values: Mapping[str, float]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        log.info("step %d: %s", step, ", ".join(f"{name} {value:.4g}" for name, value in values.items()))

    def close(self) -> None:
        """Nothing is open between two records."""


class TensorBoardTracker:
    """Event files in `tensorboard/`."""

    def __init__(self, folder: Path, *, resumed: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter  # late: slow to import

        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=resumed + 1)

    def record(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class WandbTracker:
    """Weights & Biases, with the account and mode of its own environment variables."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._run = _wandb().init(project="mrclip", dir=str(folder), config=dict(settings), resume="allow")

    def record(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


class Trackers:
    """Several as one; only the first of several processes has any. A context: leaving it closes them."""

    def __init__(self, names: Sequence[str], folder: Path, settings: Mapping[str, Any], *, resumed: int) -> None:
        """`resumed`: the step after which the run goes on; numbers of later ones come again and are forgotten."""
        self._trackers: list[Tracker] = []
        if not is_first():
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._trackers.append(LinesTracker(folder, resumed=resumed))
        if "wandb" in names:  # first, as it may be refused
            self._trackers.append(WandbTracker(folder, settings))
        if "tensorboard" in names:
            self._trackers.append(TensorBoardTracker(folder, resumed=resumed))

    def record(self, step: int, values: Mapping[str, float]) -> None:
        for tracker in self._trackers:
            tracker.record(step, values)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for tracker in self._trackers:
            tracker.close()


def _until(path: Path, step: int) -> Iterator[str]:
    """The whole lines of a file of numbers up to a step."""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n") and json.loads(line)["step"] <= step:
            yield line


def _wandb() -> ModuleType:
    try:
        import wandb  # pyright: ignore[reportMissingImports] - optional, in no extra of ours
    except ImportError as error:
        raise RefusedError("run.trackers names wandb, which is not installed: pip install wandb") from error
    return wandb
