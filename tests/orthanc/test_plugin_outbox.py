"""What is still to be done: retries, jobs, and memory."""

import json

import pytest

from orthanc_plugin.outbox import Outbox, Task


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(retry_s=10, retry_max_s=100, max_attempts=6)


def only(outbox: Outbox, now_s: float = 1e9) -> Task:
    (task,) = outbox.due(now_s)
    return task


def test_tasks_are_due_at_their_time_the_longest_first(outbox: Outbox) -> None:
    outbox.add("forward", "b", due_s=20)
    outbox.add("forward", "a", due_s=10)
    assert outbox.due(9) == []
    assert outbox.next_due_s() == 10
    assert [task.subject for task in outbox.due(20)] == ["a", "b"]


def test_a_task_becomes_due_sooner_and_never_later(outbox: Outbox) -> None:
    outbox.add("forward", "a", due_s=300)
    outbox.add("forward", "a", due_s=5)
    outbox.add("forward", "a", due_s=400)
    assert only(outbox).due_s == 5
    outbox.add("report", "a", due_s=7)
    assert len(outbox.due(10)) == 2, "another kind is another task"


def test_pauses_double_up_to_the_longest_and_then_it_is_given_up(outbox: Outbox) -> None:
    outbox.add("forward", "a", due_s=0)
    pauses: list[float] = []
    while outbox.failed(only(outbox), "refused", now_s=1000):
        pauses.append(only(outbox).due_s - 1000)
    assert pauses == [10, 20, 40, 80, 100]
    assert outbox.due(1e9) == []
    (given_up,) = outbox.document()["given_up"]
    assert (given_up["attempts"], given_up["reason"]) == (6, "refused")


def test_what_failed_begins_anew_when_it_is_asked_for(outbox: Outbox) -> None:
    outbox.add("forward", "a", due_s=0)
    outbox.failed(only(outbox), "refused", now_s=1000)
    outbox.add("forward", "a", due_s=1001)
    assert (only(outbox).due_s, only(outbox).attempts) == (1001, 0)


def test_a_job_that_works_on_it_is_found_again(outbox: Outbox) -> None:
    outbox.add("forward", "a", due_s=0)
    outbox.submitted(only(outbox), "job-1", look_s=60)
    assert outbox.of_job("job-2") is None
    task = outbox.of_job("job-1")
    assert task is not None
    outbox.done(task, now_s=30)
    assert outbox.next_due_s() is None


def test_what_is_asked_for_while_a_job_runs_is_done_once_more(outbox: Outbox) -> None:
    outbox.add("forward", "a", due_s=0)
    outbox.submitted(only(outbox), "job-1", look_s=60)
    outbox.add("forward", "a", due_s=10)
    assert outbox.due(30) == [], "the job is still at it"
    outbox.done(only(outbox, 60), now_s=61)
    assert only(outbox).due_s == 61
    assert only(outbox).job is None
    outbox.done(only(outbox), now_s=62)
    assert outbox.due(1e9) == []


def test_it_outlives_a_restart(outbox: Outbox) -> None:
    outbox.add("forward", "a", due_s=5)
    outbox.submitted(only(outbox), "job-1", look_s=60)
    outbox.add("route", "a research", due_s=6)
    while outbox.failed(next(task for task in outbox.due(1e9) if task.kind == "route"), "refused", now_s=0):
        pass
    again = Outbox(retry_s=10, retry_max_s=100, max_attempts=6)
    again.restore(outbox.text())
    assert again.document() == outbox.document()
    assert again.of_job("job-1") is not None
    again.restore("")
    assert again.document() == outbox.document()


@pytest.mark.parametrize(
    "text", ["{", "[]", json.dumps({"schema": "mrclip.outbox/2"}), '{"schema": "mrclip.outbox/1"}']
)
def test_what_is_no_outbox_is_refused(outbox: Outbox, text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        outbox.restore(text)


def test_only_the_last_that_were_given_up_are_remembered() -> None:
    outbox = Outbox(retry_s=1, retry_max_s=1, max_attempts=1)
    for number in range(60):
        outbox.add("forward", str(number), due_s=0)
        assert not outbox.failed(only(outbox), "refused", now_s=0)
    assert [task["subject"] for task in outbox.document()["given_up"]] == [str(number) for number in range(10, 60)]
