"""Does what Orthanc's changes ask for: forward series, take in what the node read, route by it.

Orthanc's list of changes is what counts, its callbacks are hints that wake the worker: so nothing is lost when Orthanc
stops, and the node may be away for a while. Everything here goes through `Orthanc`, which tests replace.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Protocol

from orthanc_plugin.configuration import Configuration
from orthanc_plugin.node import Node, NodeError
from orthanc_plugin.outbox import EMPTY, Outbox, Task
from orthanc_plugin.routing import Result, Series, destinations, seconds_to_wait, unwanted

# Metadata of source series (4201 to 4205; `UserMetadata` in orthanc.json gives them their names).
CONTRAST: Final = "4201"
FLAGGED: Final = "4202"
SCORE: Final = "4203"
READER: Final = "4204"
REPORT: Final = "4205"

FLAGGED_LABEL: Final = "mrclip-flagged"

# Global properties of Orthanc's database; those from 1024 on are for plugins.
OUTBOX_PROPERTY: Final = 4201
CHANGE_PROPERTY: Final = 4202

_PAGE: Final = 100
_LOOK_AT_JOB_S: Final = 60.0
_LOOK_AT_UNSTABLE_S: Final = 30.0
_LOOK_AT_FETCH_S: Final = 10.0
_FETCH: Final = "fetch"  # in place of a job of Orthanc's: the node is at it
_BATCH: Final = 50
_FORWARDS_WAITING: Final = 100  # at most, for a back-fill to add more
_LOOK_AT_BACKFILL_S: Final = 5.0


class OrthancError(Exception):
    """Orthanc refused a request."""


class Orthanc(Protocol):
    """The part of Orthanc that is used."""

    def get(self, path: str) -> Any:
        """A resource as JSON; None if there is none. Raises OrthancError."""
        ...

    def text(self, path: str) -> str | None:
        """A value as text; None if there is none."""
        ...

    def post(self, path: str, body: Any) -> Any:
        """The JSON answer to a POST. Raises OrthancError."""
        ...

    def put(self, path: str, text: str) -> None:
        """Write a value; an empty one too. Raises OrthancError."""
        ...

    def delete(self, path: str) -> None:
        """Remove something, if it is there."""
        ...

    def property(self, number: int) -> str:
        """A global property; empty if it was never set."""
        ...

    def set_property(self, number: int, text: str) -> None:
        """Keep a global property in Orthanc's database."""
        ...

    def warn(self, text: str) -> None:
        """Say something in Orthanc's log."""
        ...


class Worker:
    """The plugin's work; its methods are called by one thread."""

    def __init__(self, orthanc: Orthanc, node: Node, settings: Configuration, *, now: Callable[[], datetime]) -> None:
        """`now` gives local time with its zone."""
        self._orthanc, self._node, self._settings, self._now = orthanc, node, settings, now
        self.outbox = Outbox(
            retry_s=settings.retry_s, retry_max_s=settings.retry_max_s, max_attempts=settings.max_attempts
        )
        self._change = self._kept_change = -1
        self._kept = ""  # the outbox as it was kept last
        self._has_labels = False

    def begin(self) -> None:
        """Go on where the last run ended; the first run of all begins with the changes from now on."""
        try:
            self.outbox.restore(self._orthanc.property(OUTBOX_PROPERTY))
        except ValueError as error:
            self._orthanc.warn(f"mrclip begins with an empty outbox: {error}")
        last = self._orthanc.property(CHANGE_PROPERTY)
        self._change = int(last) if last.isdecimal() else int(self._orthanc.get("/changes?last")["Last"])
        self._has_labels = bool(self._orthanc.get("/system").get("HasLabels"))
        self._keep()

    def step(self) -> None:
        """Look at what changed, then do what is due, also where Orthanc does not tell what changed."""
        try:
            self._take_changes()
        finally:
            for task in self.outbox.due(self._now_s())[:_BATCH]:
                self._attempt(task)
                self._keep()

    def seconds_to_wait(self, longest_s: float) -> float:
        """How long nothing will be due."""
        due_s = self.outbox.next_due_s()
        return longest_s if due_s is None else min(longest_s, max(0.0, due_s - self._now_s()))

    def job_ended(self, job: str) -> None:
        """A job of Orthanc's succeeded or failed: look at it now."""
        task = self.outbox.of_job(job)
        if task is not None:
            self.outbox.wait(task, until_s=self._now_s())

    def uid_of(self, series: str) -> str | None:
        """Series Instance UID of a series of Orthanc's; from any thread."""
        found = self._orthanc.get(f"/series/{series}")
        return None if found is None else str(found["MainDicomTags"]["SeriesInstanceUID"])

    def status(self, series: str) -> dict[str, Any] | None:
        """All that is known of a series here and in the node; None if Orthanc has it not. From any thread."""
        uid = self.uid_of(series)
        if uid is None:
            return None
        try:
            known, problem = self._node.series(uid), None
        except NodeError as error:
            known, problem = None, str(error)
        tasks = json.loads(self.queue())["tasks"]
        return {
            "series_instance_uid": uid,
            "reading": None if known is None else known.document,
            "problem": problem,
            "tasks": [task for task in tasks if task["subject"].split(" ")[0] == series],
        }

    def queue(self) -> str:
        """What is still to be done, as it was kept last, by the run before this one until this has begun. From any
        thread."""
        return self._kept or self._orthanc.property(OUTBOX_PROPERTY) or EMPTY

    def forward(self, series: str) -> None:
        """Forward a series now."""
        self.outbox.add("forward", series, due_s=self._now_s())
        self._keep()

    def back_fill(self) -> None:
        """Forward every series that the rules want and the node does not have yet, a page at a time."""
        self.outbox.add("backfill", "0", due_s=self._now_s())
        self._keep()

    def _take_changes(self) -> None:
        while True:
            page = self._orthanc.get(f"/changes?since={self._change}&limit={_PAGE}")
            for change in page["Changes"]:
                self._note(change)
            self._change = page["Last"]
            self._keep()
            if page["Done"]:
                return

    def _note(self, change: dict[str, Any]) -> None:
        """What a change asks for; whether the series is one for us is seen when its time has come."""
        now_s, series = self._now_s(), change["ID"]
        if change["ChangeType"] == "StableSeries":
            self._wanted(series, due_s=now_s)
        elif change["ChangeType"] == "NewSeries":
            # Orthanc forgets at a stop which series were still growing, and never calls them stable.
            self._wanted(series, due_s=now_s + self._settings.unstable_s)

    def _wanted(self, series: str, *, due_s: float) -> None:
        found = self._orthanc.get(f"/series/{series}")
        if found is None:
            return
        known = self._series(found)
        if known.is_report:
            self.outbox.add("report", series, due_s=self._now_s())
        elif unwanted(known, self._settings.rules) is None:
            self.outbox.add("forward", series, due_s=due_s)

    def _attempt(self, task: Task) -> None:
        """Do a task; one that fails waits for its next attempt, and the others go on."""
        try:
            self._do(task)
        except (NodeError, OrthancError) as error:
            self._failed(task, str(error))
        except Exception as error:  # noqa: BLE001 - nobody thought of it: the others must go on, and it must be heard
            reason = f"{type(error).__name__}: {error}"
            self._orthanc.warn(f"mrclip failed to {task.kind} {task.subject}: {reason}")
            self._failed(task, reason)

    def _do(self, task: Task) -> None:
        if task.job is not None:
            self._look_at_job(task)
            return
        match task.kind:
            case "forward":
                self._forward(task)
            case "report":
                self._take_report(task)
            case "route":
                series, _, modality = task.subject.partition(" ")
                self._store(task, series, modality)
            case "backfill":
                self._fill_in(task)

    def _fill_in(self, task: Task) -> None:
        """The next page of all series, once most of what was forwarded before is gone: the outbox is written to
        Orthanc's database after every task, so it must not hold a whole archive."""
        now_s = self._now_s()
        if self.outbox.count("forward") >= _FORWARDS_WAITING:
            self.outbox.wait(task, until_s=now_s + _LOOK_AT_BACKFILL_S)
            return
        page = self._orthanc.get(f"/series?expand&since={task.subject}&limit={_PAGE}")
        for found in page:
            if unwanted(self._series(found), self._settings.rules) is None:
                self.outbox.add("forward", found["ID"], due_s=now_s)
        self.outbox.done(task, now_s=now_s)
        if page:
            self.outbox.add("backfill", str(int(task.subject) + len(page)), due_s=now_s)

    def _forward(self, task: Task) -> None:
        found = self._orthanc.get(f"/series/{task.subject}")
        if found is None:  # it was deleted
            self.outbox.done(task, now_s=self._now_s())
            return
        series, rules = self._series(found), self._settings.rules
        wait_s = _LOOK_AT_UNSTABLE_S if not series.stable else seconds_to_wait(self._now(), rules)
        if wait_s > 0:
            self.outbox.wait(task, until_s=self._now_s() + wait_s)
        elif rules.unless_read and self._is_held(series):
            self.outbox.done(task, now_s=self._now_s())
        elif self._settings.forward == "store":
            self._store(task, series.orthanc_id, self._settings.modality)
        else:
            self._node.notify(self._settings.orthanc_url, series.orthanc_id)
            self.outbox.submitted(task, _FETCH, look_s=self._now_s() + _LOOK_AT_FETCH_S)

    def _is_held(self, series: Series) -> bool:
        try:
            known = self._node.series(series.uid)
        except NodeError:
            return False  # its DICOM side may answer all the same
        return known is not None and known.holds(series.instances)

    def _store(self, task: Task, series: str, modality: str) -> None:
        """Begin a C-STORE job."""
        body = {"Resources": [series], "Asynchronous": True, "Permissive": False}
        job = self._orthanc.post(f"/modalities/{modality}/store", body)["ID"]
        self.outbox.submitted(task, job, look_s=self._now_s() + _LOOK_AT_JOB_S)

    def _look_at_job(self, task: Task) -> None:
        if task.job == _FETCH:
            self._look_at_fetch(task)
            return
        job = self._orthanc.get(f"/jobs/{task.job}")
        if job is None:
            self._failed(task, f"Orthanc forgot job {task.job}")
            return
        state = job["State"]
        if state == "Success":
            self.outbox.done(task, now_s=self._now_s())
        elif state in ("Pending", "Running", "Paused", "Retry"):
            self.outbox.wait(task, until_s=self._now_s() + _LOOK_AT_JOB_S)
        else:
            self._failed(task, f"job {task.job} ended as {state}: {job.get('ErrorDescription', 'no reason given')}")

    def _look_at_fetch(self, task: Task) -> None:
        """The node was told to fetch a series: see that it did."""
        found = self._orthanc.get(f"/series/{task.subject}")
        if found is None or self._is_held(self._series(found)):
            self.outbox.done(task, now_s=self._now_s())
        else:
            self._failed(task, "the node has not fetched all of it yet")

    def _take_report(self, task: Task) -> None:
        """A report came: ask the node what it says, and write it where users of Orthanc look."""
        source_uid = self._source_of(task.subject)
        known = None if source_uid is None else self._node.series(source_uid)
        result = None if known is None else known.result()
        series = None if source_uid is None else self._find(source_uid, "Series")
        if result is None or series is None:  # another node's report, or the images are gone
            self.outbox.done(task, now_s=self._now_s())
            return
        if self._find(result.report_uid, "Instance") is None:
            raise OrthancError(f"report {result.report_uid} has not come yet")
        self._write(series, result)
        self.outbox.done(task, now_s=self._now_s())

    def _write(self, series: str, result: Result) -> None:
        """The result as metadata and label, then the routes; a report that was taken in already changes nothing."""
        path = f"/series/{series}/metadata"
        if self._orthanc.text(f"{path}/{REPORT}") == result.report_uid:
            return
        values = {
            CONTRAST: result.contrast or "UNKNOWN",
            FLAGGED: "true" if result.flagged else "false",
            SCORE: f"{result.score:.4f}",
            READER: result.reader_digest,
        }
        for number, text in values.items():
            self._orthanc.put(f"{path}/{number}", text)
        if self._has_labels:
            label = f"/series/{series}/labels/{FLAGGED_LABEL}"
            self._orthanc.put(label, "") if result.flagged else self._orthanc.delete(label)
        for modality in destinations(result, self._settings.routes):
            self.outbox.add("route", f"{series} {modality}", due_s=self._now_s())
        # The last, since it says that all of this was done.
        self._orthanc.put(f"{path}/{REPORT}", result.report_uid)

    def _source_of(self, report_series: str) -> str | None:
        """Series Instance UID of the series that a report is about; None if the report does not say it."""
        found = self._orthanc.get(f"/series/{report_series}")
        if found is None:
            return None
        tags: Any = self._orthanc.get(f"/instances/{found['Instances'][0]}/simplified-tags")
        try:
            study: Any = tags["CurrentRequestedProcedureEvidenceSequence"][0]
            return str(study["ReferencedSeriesSequence"][0]["SeriesInstanceUID"])
        except (KeyError, IndexError, TypeError):
            return None

    def _find(self, uid: str, level: str) -> str | None:
        """Orthanc's identifier of a series or an instance by its UID."""
        found = self._orthanc.post("/tools/lookup", uid)
        return next((str(one["ID"]) for one in found if one["Type"] == level), None)

    def _origin(self, found: dict[str, Any]) -> str:
        """Who sent a series: RemoteAET of its first instance. Asked for only where a rule wants to know."""
        rules = self._settings.rules
        if not (rules.origin_aets or rules.not_origin_aets):
            return ""
        return self._orthanc.text(f"/instances/{found['Instances'][0]}/metadata/RemoteAET") or ""

    def _series(self, found: dict[str, Any]) -> Series:
        tags = found["MainDicomTags"]
        return Series(
            orthanc_id=found["ID"],
            uid=tags["SeriesInstanceUID"],
            modality=tags.get("Modality", ""),
            description=tags.get("SeriesDescription", ""),
            manufacturer=tags.get("Manufacturer", ""),
            origin_aet=self._origin(found),
            instances=len(found["Instances"]),
            stable=found["IsStable"],
        )

    def _failed(self, task: Task, reason: str) -> None:
        if not self.outbox.failed(task, reason, now_s=self._now_s()):
            self._orthanc.warn(f"mrclip gave up to {task.kind} {task.subject}: {reason}")

    def _keep(self) -> None:
        """Keep the outbox first: doing something twice is harmless, forgetting it is not."""
        text = self.outbox.text()
        if text != self._kept:
            self._orthanc.set_property(OUTBOX_PROPERTY, text)
            self._kept = text
        if self._change != self._kept_change:
            self._orthanc.set_property(CHANGE_PROPERTY, str(self._change))
            self._kept_change = self._change

    def _now_s(self) -> float:
        return self._now().timestamp()
