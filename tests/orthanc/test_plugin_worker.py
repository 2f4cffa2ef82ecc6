"""The plugin's work against an Orthanc in memory and a node that can be away: what real ones would take long for."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from orthanc_plugin.configuration import Configuration, configuration
from orthanc_plugin.node import Known, NodeError
from orthanc_plugin.worker import CHANGE_PROPERTY, OUTBOX_PROPERTY, OrthancError, Worker

START = datetime(2026, 1, 2, 3, 4, 5).astimezone()


class FakeOrthanc:
    """What Orthanc holds, as its REST interface shows it."""

    def __init__(self) -> None:
        self.series: dict[str, dict[str, Any]] = {}
        self.tags: dict[str, dict[str, Any]] = {}
        self.values: dict[str, str] = {}
        self.properties: dict[int, str] = {}
        self.changes: list[tuple[str, str]] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.stored: list[tuple[str, str]] = []
        self.warnings: list[str] = []
        self.version: dict[str, Any] = {"Version": "1.10.1"}
        self.refuses = self.hides_changes = False

    def add(self, name: str, *, modality: str = "MR", instances: int = 2, stable: bool = True, **tags: str) -> None:
        self.series[name] = {
            "ID": name,
            "IsStable": stable,
            "Instances": [f"{name}-{number}" for number in range(instances)],
            "MainDicomTags": {"SeriesInstanceUID": f"1.2.{name}", "Modality": modality, **tags},
        }
        self.changes.append(("NewSeries", name))
        if stable:
            self.changes.append(("StableSeries", name))

    def add_report(self, name: str, source: str | None, report_uid: str) -> None:
        self.add(name, modality="SR", instances=1, SeriesDescription="MR contrast check", Manufacturer="mrclip")
        evidence = [{"ReferencedSeriesSequence": [{"SeriesInstanceUID": f"1.2.{source}"}]}]
        self.tags[f"{name}-0"] = {} if source is None else {"CurrentRequestedProcedureEvidenceSequence": evidence}
        self.values[report_uid] = "instance"

    def get(self, path: str) -> Any:
        if self.hides_changes and path.startswith("/changes"):
            raise OrthancError(f"GET {path}: refused")
        match path.strip("/").split("/"):
            case ["system"]:
                return self.version
            case ["changes?last"]:
                return {"Changes": [], "Done": True, "Last": len(self.changes)}
            case [changes] if changes.startswith("changes?since="):
                since = int(changes.partition("=")[2].partition("&")[0])
                page = self.changes[since : since + 3]
                return {
                    "Changes": [{"ChangeType": kind, "ID": name} for kind, name in page],
                    "Done": since + 3 >= len(self.changes),
                    "Last": since + len(page),
                }
            case [series] if series.startswith("series?expand"):
                since = int(series.partition("since=")[2].partition("&")[0])
                return list(self.series.values())[since : since + 2]
            case ["series", name]:
                return self.series.get(name)
            case ["instances", name, "simplified-tags"]:
                return self.tags[name]
            case ["jobs", name]:
                return self.jobs.get(name)
        raise AssertionError(path)

    def text(self, path: str) -> str | None:
        return self.values.get(path)

    def post(self, path: str, body: Any) -> Any:
        if path == "/tools/lookup":
            found = [name for name in self.series if body == f"1.2.{name}"]
            series = [{"ID": name, "Type": "Series"} for name in found]
            return series + ([{"ID": body, "Type": "Instance"}] if self.values.get(body) == "instance" else [])
        if self.refuses:
            raise OrthancError("POST: refused")
        modality = path.split("/")[2]
        self.stored.append((body["Resources"][0], modality))
        job = f"job-{len(self.stored)}"
        self.jobs[job] = {"State": "Running"}
        return {"ID": job}

    def put(self, path: str, text: str) -> None:
        self.values[path] = text

    def delete(self, path: str) -> None:
        self.values.pop(path, None)

    def property(self, number: int) -> str:
        return self.properties.get(number, "")

    def set_property(self, number: int, text: str) -> None:
        self.properties[number] = text

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class FakeNode:
    """A node that knows what it is told; `away` while it cannot be reached."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        self.notified: list[tuple[str, str]] = []
        self.broken: set[str] = set()  # series at which it does what no node should
        self.away = False

    def reads(self, name: str, report: str | None = "2.25.1", **fields: Any) -> None:
        reports = [] if report is None else [{"sop_instance_uid": report, "reader_digest": "ab" * 32}]
        answer = {"contrast": {"post_contrast": {"value": False, "probability": 0.9}}}
        self.known[f"1.2.{name}"] = {
            "state": "answered", "instances": 2, "contrast": "T1", "score": 0.25, "flagged": False, "stacks": [answer],
            "reports": reports, **fields,
        }  # fmt: skip

    def series(self, uid: str) -> Known | None:
        self._answer()
        return Known(document=self.known[uid]) if uid in self.known else None

    def notify(self, orthanc_url: str, series: str) -> None:
        self._answer()
        if series in self.broken:
            raise ValueError("nobody thought of it")
        self.notified.append((orthanc_url, series))

    def _answer(self) -> None:
        if self.away:
            raise NodeError("the node cannot be reached")


class Scene:
    """A worker with a clock of its own."""

    def __init__(self, **section: Any) -> None:
        self.orthanc, self.node = FakeOrthanc(), FakeNode()
        self.now = START
        self.settings: Configuration = configuration(section)
        self.worker = self.started()

    def started(self) -> Worker:
        worker = Worker(self.orthanc, self.node, self.settings, now=lambda: self.now)  # type: ignore[arg-type]
        worker.begin()
        return worker

    def step(self, seconds: float = 0) -> None:
        self.now += timedelta(seconds=seconds)
        self.worker.step()

    def end_job(self, state: str = "Success", **fields: str) -> None:
        job = f"job-{len(self.orthanc.stored)}"
        self.orthanc.jobs[job] = {"State": state, **fields}
        self.worker.job_ended(job)
        self.step()

    @property
    def tasks(self) -> list[dict[str, Any]]:
        return self.worker.outbox.document()["tasks"]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_stable_series_is_sent_once_and_forgotten_when_its_job_succeeded(scene: Scene) -> None:
    scene.orthanc.add("a")
    scene.step()
    scene.step()
    assert scene.orthanc.stored == [("a", "mrclip")]
    scene.end_job()
    assert scene.tasks == []


def test_a_job_that_failed_is_begun_again_later(scene: Scene) -> None:
    scene.orthanc.add("a")
    scene.step()
    scene.end_job("Failure", ErrorDescription="no association")
    assert scene.tasks[0]["reason"] == "job job-1 ended as Failure: no association"
    scene.step(29)
    assert len(scene.orthanc.stored) == 1
    scene.step(1)
    assert len(scene.orthanc.stored) == 2


def test_a_job_of_which_nothing_is_heard_is_looked_at(scene: Scene) -> None:
    scene.orthanc.add("a")
    scene.step()
    scene.step(60)
    assert len(scene.orthanc.stored) == 1, "it is still running"
    del scene.orthanc.jobs["job-1"]
    scene.step(60)
    scene.step(30)
    assert len(scene.orthanc.stored) == 2, "Orthanc forgot it: again"


def test_a_refused_request_is_tried_again(scene: Scene) -> None:
    scene.orthanc.refuses = True
    scene.orthanc.add("a")
    scene.step()
    assert scene.tasks[0]["reason"] == "POST: refused"
    scene.orthanc.refuses = False
    scene.step(30)
    assert scene.orthanc.stored == [("a", "mrclip")]


def test_a_fault_in_one_task_is_said_and_paused_and_the_others_go_on() -> None:
    scene = Scene(Forward="notify")
    scene.node.broken.add("a")
    scene.orthanc.add("a")
    scene.orthanc.add("b")
    scene.step()
    assert [series for _, series in scene.node.notified] == ["b"]
    assert scene.orthanc.warnings == ["mrclip failed to forward a: ValueError: nobody thought of it"]
    (failed,) = [task for task in scene.tasks if task["subject"] == "a"]
    assert (failed["attempts"], failed["reason"]) == (1, "ValueError: nobody thought of it")
    scene.step(30)
    (failed,) = [task for task in scene.tasks if task["subject"] == "a"]
    assert (failed["attempts"], failed["due_s"] - scene.now.timestamp()) == (2, 60), "pauses double"


def test_tasks_are_done_where_orthanc_does_not_tell_what_changed(scene: Scene) -> None:
    scene.orthanc.refuses = True
    scene.orthanc.add("a")
    scene.step()
    scene.orthanc.refuses, scene.orthanc.hides_changes = False, True
    with pytest.raises(OrthancError):
        scene.step(30)
    assert scene.orthanc.stored == [("a", "mrclip")]


def test_what_is_given_up_is_said_in_the_log() -> None:
    scene = Scene(MaxAttempts=1)
    scene.orthanc.refuses = True
    scene.orthanc.add("a")
    scene.step()
    assert scene.tasks == []
    assert scene.orthanc.warnings == ["mrclip gave up to forward a: POST: refused"]


def test_a_series_that_never_became_stable_is_looked_at_after_a_while(scene: Scene) -> None:
    scene.orthanc.add("a", stable=False)
    scene.step(299)
    assert scene.orthanc.stored == []
    scene.step(1)
    assert scene.orthanc.stored == [], "it is still growing"
    scene.orthanc.series["a"]["IsStable"] = True
    scene.step(330)
    assert scene.orthanc.stored == [("a", "mrclip")]


def test_a_series_that_was_deleted_is_forgotten(scene: Scene) -> None:
    scene.orthanc.add("a", stable=False)
    scene.step()
    del scene.orthanc.series["a"]
    scene.step(300)
    assert scene.tasks == []


def test_what_the_node_has_is_not_sent_again_and_what_grew_is(scene: Scene) -> None:
    scene.node.reads("a")
    scene.orthanc.add("a")
    scene.step()
    assert (scene.orthanc.stored, scene.tasks) == ([], [])
    scene.orthanc.add("a", instances=3)
    scene.step()
    assert scene.orthanc.stored == [("a", "mrclip")]


def test_what_the_node_gave_up_is_sent_again(scene: Scene) -> None:
    scene.node.reads("a", state="quarantined")
    scene.orthanc.add("a")
    scene.step()
    assert scene.orthanc.stored == [("a", "mrclip")]


def test_everything_is_sent_where_the_rules_say_so() -> None:
    scene = Scene(Rules={"UnlessRead": False})
    scene.node.reads("a")
    scene.orthanc.add("a")
    scene.step()
    assert scene.orthanc.stored == [("a", "mrclip")]


def test_a_node_whose_pages_are_away_may_still_receive(scene: Scene) -> None:
    scene.node.away = True
    scene.orthanc.add("a")
    scene.step()
    assert scene.orthanc.stored == [("a", "mrclip")]


def test_a_series_waits_for_the_hours_of_the_rules() -> None:
    scene = Scene(Rules={"Hours": ["05:00-06:00"]})
    scene.orthanc.add("a")
    scene.step()
    assert scene.orthanc.stored == []
    scene.step(2 * 3600)
    assert scene.orthanc.stored == [("a", "mrclip")]


def test_the_node_can_be_told_to_fetch() -> None:
    scene = Scene(Forward="notify", OrthancUrl="http://orthanc.example:8042")
    scene.node.away = True
    scene.orthanc.add("a")
    scene.step()
    assert scene.tasks[0]["attempts"] == 1
    scene.node.away = False
    scene.step(30)
    assert scene.node.notified == [("http://orthanc.example:8042", "a")]
    scene.step(10)
    assert scene.tasks[0]["reason"] == "the node has not fetched all of it yet"
    scene.step(60)
    assert len(scene.node.notified) == 2
    scene.node.reads("a")
    scene.step(10)
    assert (scene.tasks, scene.orthanc.stored) == ([], [])


def test_a_report_becomes_metadata_and_routes(scene: Scene) -> None:
    scene = Scene(Routes=[{"To": "research", "Contrast": ["T1"], "PostContrast": False}, {"To": "qa", "Flagged": True}])
    scene.orthanc.add("a")
    scene.node.reads("a")
    scene.step()
    scene.orthanc.add_report("r", "a", "2.25.1")
    scene.step()
    scene.step()
    path = "/series/a/metadata"
    assert {number: scene.orthanc.values[f"{path}/{number}"] for number in range(4201, 4206)} == {
        4201: "T1", 4202: "false", 4203: "0.2500", 4204: "ab" * 32, 4205: "2.25.1",
    }  # fmt: skip
    assert scene.orthanc.stored == [("a", "research")]
    scene.end_job()
    scene.orthanc.changes.append(("StableSeries", "r"))
    scene.step()
    assert scene.orthanc.stored == [("a", "research")], "the same report routes once"
    assert scene.tasks == []


def test_a_second_report_replaces_the_first_and_labels_follow(scene: Scene) -> None:
    scene.orthanc.version["HasLabels"] = True
    scene.worker = scene.started()
    scene.orthanc.add("a")
    scene.node.reads("a", flagged=True, score=0.99)
    scene.orthanc.add_report("r", "a", "2.25.1")
    scene.step()
    assert scene.orthanc.values["/series/a/metadata/4202"] == "true"
    assert "/series/a/labels/mrclip-flagged" in scene.orthanc.values
    scene.node.reads("a", report="2.25.2", contrast=None)
    scene.orthanc.add_report("r", "a", "2.25.2")
    scene.step()
    assert scene.orthanc.values["/series/a/metadata/4205"] == "2.25.2"
    assert scene.orthanc.values["/series/a/metadata/4201"] == "UNKNOWN"
    assert "/series/a/labels/mrclip-flagged" not in scene.orthanc.values


def test_a_report_that_the_node_speaks_of_is_waited_for(scene: Scene) -> None:
    scene.orthanc.add("a")
    scene.node.reads("a", report="2.25.2")
    scene.orthanc.add_report("r", "a", "2.25.1")
    scene.step()
    assert "/series/a/metadata/4205" not in scene.orthanc.values
    assert scene.tasks[-1]["reason"] == "report 2.25.2 has not come yet"
    scene.orthanc.values["2.25.2"] = "instance"
    scene.step(30)
    assert scene.orthanc.values["/series/a/metadata/4205"] == "2.25.2"


def test_a_report_waits_for_a_node_that_is_away(scene: Scene) -> None:
    scene.orthanc.add("a")
    scene.step()
    scene.end_job()
    scene.node.reads("a")
    scene.node.away = True
    scene.orthanc.add_report("r", "a", "2.25.1")
    scene.step()
    assert [task["kind"] for task in scene.tasks] == ["report"]
    scene.node.away = False
    scene.step(30)
    assert scene.orthanc.values["/series/a/metadata/4205"] == "2.25.1"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda scene: scene.orthanc.tags.update({"r-0": {}}),
        lambda scene: scene.orthanc.tags.update({"r-0": {"CurrentRequestedProcedureEvidenceSequence": []}}),
        lambda scene: scene.node.known.clear(),
        lambda scene: scene.node.reads("a", report=None),
        lambda scene: scene.orthanc.series.pop("a"),
        lambda scene: scene.orthanc.series.pop("r"),
    ],
)
def test_a_report_that_is_nobodys_is_let_be(scene: Scene, spoil: Callable[[Scene], object]) -> None:
    scene.orthanc.add("a")
    scene.step()
    scene.end_job()
    scene.node.reads("a")
    scene.orthanc.add_report("r", "a", "2.25.1")
    spoil(scene)
    scene.step()
    assert scene.tasks == []
    assert not [path for path in scene.orthanc.values if path.startswith("/series")]


def test_the_first_run_begins_with_what_changes_from_now_on() -> None:
    scene = Scene()
    scene.orthanc.add("old")
    scene.orthanc.properties.clear()
    scene.worker = scene.started()
    scene.orthanc.add("new")
    scene.step()
    assert scene.orthanc.stored == [("new", "mrclip")]


def test_a_restart_goes_on_with_changes_and_tasks(scene: Scene) -> None:
    scene.orthanc.refuses = True
    scene.orthanc.add("a")
    scene.step()
    scene.orthanc.add("b")  # while the plugin is down
    scene.orthanc.refuses = False
    scene.worker = scene.started()
    scene.step(30)
    assert sorted(scene.orthanc.stored) == [("a", "mrclip"), ("b", "mrclip")]
    assert scene.orthanc.properties[CHANGE_PROPERTY] == "4"


def test_what_cannot_be_understood_of_the_last_run_is_said_and_left(scene: Scene) -> None:
    scene.orthanc.properties[OUTBOX_PROPERTY] = "{"
    scene.worker = scene.started()
    assert scene.orthanc.warnings[0].startswith("mrclip begins with an empty outbox")
    scene.orthanc.add("a")
    scene.step()
    assert scene.orthanc.stored == [("a", "mrclip")]


def test_back_fill_takes_all_that_the_rules_want(scene: Scene) -> None:
    for name in ("a", "b", "c"):
        scene.orthanc.add(name)
    scene.orthanc.add("ct", modality="CT")
    scene.orthanc.changes.clear()
    scene.orthanc.properties.clear()
    scene.worker = scene.started()
    scene.node.reads("b")
    scene.worker.back_fill()
    for _ in range(4):  # three pages, of which the last one is empty, and what they added
        scene.step()
    assert scene.orthanc.stored == [("a", "mrclip"), ("c", "mrclip")]
    assert "backfill" not in {task["kind"] for task in scene.tasks}


def test_back_fill_of_an_archive_keeps_the_queue_short_and_goes_on_after_a_restart(scene: Scene) -> None:
    for number in range(301):
        scene.orthanc.add(f"s{number}")
    scene.orthanc.changes.clear()
    scene.orthanc.properties.clear()
    scene.worker = scene.started()
    scene.worker.back_fill()
    longest = 0
    for turn in range(400):
        scene.step(seconds=6)
        longest = max(longest, len(scene.tasks))
        if turn % 7 == 0:
            scene.worker = scene.started()
        for job, its in scene.orthanc.jobs.items():
            if its["State"] == "Running":
                scene.orthanc.jobs[job] = {"State": "Success"}
                scene.worker.job_ended(job)
        if not scene.tasks:
            break
    assert sorted({series for series, _ in scene.orthanc.stored}) == sorted(f"s{number}" for number in range(301))
    assert len(scene.orthanc.stored) == 301, "each once"
    assert longest <= 103


def test_the_status_of_a_series(scene: Scene) -> None:
    assert scene.worker.status("a") is None
    scene.orthanc.add("a")
    scene.step()
    status = scene.worker.status("a")
    assert status is not None
    assert (status["series_instance_uid"], status["reading"], status["problem"]) == ("1.2.a", None, None)
    assert [task["job"] for task in status["tasks"]] == ["job-1"]
    scene.node.away = True
    assert "cannot be reached" in (scene.worker.status("a") or {})["problem"]


def test_the_worker_sleeps_until_something_is_due(scene: Scene) -> None:
    assert scene.worker.seconds_to_wait(60) == 60
    scene.orthanc.add("a", stable=False)
    scene.step()
    assert scene.worker.seconds_to_wait(600) == 300
    scene.now += timedelta(seconds=400)
    assert scene.worker.seconds_to_wait(60) == 0


def test_the_queue_can_be_asked_for_before_the_worker_has_begun(scene: Scene) -> None:
    scene.orthanc.add("a")
    scene.step()
    later = Worker(scene.orthanc, scene.node, scene.settings, now=lambda: scene.now)  # type: ignore[arg-type]
    assert json.loads(later.queue()) == json.loads(scene.worker.queue())
    assert [task["subject"] for task in json.loads(later.queue())["tasks"]] == ["a"]
    scene.orthanc.properties.clear()
    assert json.loads(later.queue())["tasks"] == []
