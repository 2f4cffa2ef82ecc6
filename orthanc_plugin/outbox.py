"""What the plugin still has to do, kept over restarts: tasks, each with its next try. Pure: time is an argument."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

Kind = Literal["forward", "report", "route", "backfill"]
Key = tuple[Kind, str]

_SCHEMA: Final = "mrclip.outbox/1"
EMPTY: Final = json.dumps({"schema": _SCHEMA, "tasks": [], "given_up": []}, separators=(",", ":"))
_REMEMBERED: Final = 50  # tasks that were given up


@dataclass(frozen=True, kw_only=True)
class Task:
    """One thing to do with one series."""

    kind: Kind
    subject: (
        str  # Orthanc's identifier of the series; "identifier modality" for a route; where to go on for a back-fill
    )
    due_s: float  # seconds since 1970
    attempts: int = 0  # that failed
    job: str | None = None  # of Orthanc's, while it runs
    reason: str | None = None  # of the last failure
    again: bool = False  # asked for once more while its job runs

    @property
    def key(self) -> Key:
        """There is one task of a kind for each subject."""
        return self.kind, self.subject


class Outbox:
    """Tasks by key; not safe to share between threads."""

    def __init__(self, *, retry_s: float, retry_max_s: float, max_attempts: int) -> None:
        self._retry_s, self._retry_max_s, self._max_attempts = retry_s, retry_max_s, max_attempts
        self._tasks: dict[Key, Task] = {}
        self._given_up: list[Task] = []

    def add(self, kind: Kind, subject: str, *, due_s: float) -> None:
        """Do something at a time: sooner if it is there already, never later; what failed begins anew."""
        known = self._tasks.get((kind, subject))
        if known is not None and known.job is not None:
            # The job works with what there was when it began.
            self._tasks[known.key] = replace(known, again=True)
            return
        due_s = due_s if known is None else min(due_s, known.due_s)
        self._tasks[kind, subject] = Task(kind=kind, subject=subject, due_s=due_s)

    def due(self, now_s: float) -> list[Task]:
        """Tasks whose time has come, the longest due first."""
        return sorted((task for task in self._tasks.values() if task.due_s <= now_s), key=lambda task: task.due_s)

    def of_job(self, job: str) -> Task | None:
        """The task that a job of Orthanc's works on."""
        return next((task for task in self._tasks.values() if task.job == job), None)

    def count(self, kind: Kind) -> int:
        """How many tasks of a kind there are."""
        return sum(task.kind == kind for task in self._tasks.values())

    def next_due_s(self) -> float | None:
        """When the next task is due."""
        return min((task.due_s for task in self._tasks.values()), default=None)

    def submitted(self, task: Task, job: str, *, look_s: float) -> None:
        """A job of Orthanc's does it; look at it at `look_s` if nothing was heard of it."""
        self._tasks[task.key] = replace(task, job=job, due_s=look_s, reason=None)

    def wait(self, task: Task, *, until_s: float) -> None:
        """Not yet; this is no failure."""
        self._tasks[task.key] = replace(task, due_s=until_s)

    def done(self, task: Task, *, now_s: float) -> None:
        """It is done; unless it was asked for again while a job was at it."""
        if self._tasks.pop(task.key, task).again:
            self.add(task.kind, task.subject, due_s=now_s)

    def failed(self, task: Task, reason: str, *, now_s: float) -> bool:
        """It failed: later again, or given up after the last attempt, which is told by False."""
        attempts = task.attempts + 1
        pause_s = min(self._retry_max_s, self._retry_s * 2.0 ** min(attempts - 1, 60))
        again = replace(task, attempts=attempts, job=None, reason=reason, due_s=now_s + pause_s)
        if attempts < self._max_attempts:
            self._tasks[task.key] = again
            return True
        self._tasks.pop(task.key, None)
        self._given_up = [*self._given_up, again][-_REMEMBERED:]
        return False

    def document(self) -> dict[str, Any]:
        """Everything in it, as JSON."""
        return {
            "schema": _SCHEMA,
            "tasks": [asdict(task) for task in self._tasks.values()],
            "given_up": [asdict(task) for task in self._given_up],
        }

    def text(self) -> str:
        """Everything in it, to be kept."""
        return json.dumps(self.document(), separators=(",", ":"))

    def restore(self, text: str) -> None:
        """Go on with what was kept; an empty text is an empty outbox. ValueError for anything else."""
        if not text:
            return
        try:
            document = json.loads(text)
            schema, tasks, given_up = (document[name] for name in ("schema", "tasks", "given_up"))
            if schema != _SCHEMA:
                raise ValueError(f"its schema is {schema!r}; must be {_SCHEMA!r}")
            self._tasks = {task.key: task for task in (Task(**one) for one in tasks)}
            self._given_up = [Task(**one) for one in given_up]
        except (KeyError, TypeError) as error:
            raise ValueError(f"what was kept is no outbox: {error!r}") from None
