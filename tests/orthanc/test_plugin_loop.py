"""The thread beside Orthanc's: woken, stopped, and never ended by a fault."""

import threading

import pytest

from orthanc_plugin.loop import Loop, printable
from peers import wait_for


class Work:
    """Counts what is asked of it."""

    def __init__(self, *, due_in_s: float = 60) -> None:
        self.begun, self.steps, self.due_in_s = 0, 0, due_in_s
        self.fails = False

    def begin(self) -> None:
        self.begun += 1

    def step(self) -> None:
        self.steps += 1
        if self.fails:
            raise RuntimeError("broken")

    def seconds_to_wait(self, longest_s: float) -> float:
        return min(longest_s, self.due_in_s)


def test_it_steps_when_it_is_woken_and_does_what_it_is_asked() -> None:
    work, asked = Work(), threading.Event()
    loop = Loop(work, warn=pytest.fail)
    loop.start()
    wait_for(lambda: work.steps == 1)
    loop.wake()
    wait_for(lambda: work.steps == 2)
    loop.ask(asked.set)
    assert asked.wait(20)
    loop.stop()
    assert work.begun == 1
    assert not any(thread.name == "mrclip" for thread in threading.enumerate())


def test_it_steps_by_itself_when_something_is_due() -> None:
    work = Work(due_in_s=0.01)
    loop = Loop(work, warn=pytest.fail)
    loop.start()
    wait_for(lambda: work.steps > 3)
    loop.stop()


def test_a_fault_is_said_and_the_loop_goes_on() -> None:
    work, warnings = Work(), []
    work.fails = True
    loop = Loop(work, warn=warnings.append)
    loop.start()
    wait_for(lambda: warnings)
    work.fails = False
    loop.wake()
    wait_for(lambda: work.steps == 2)
    loop.stop()
    assert warnings == ["mrclip failed: RuntimeError: broken"]


def test_what_is_due_and_fails_is_paused_and_not_tried_without_end() -> None:
    work, warnings = Work(due_in_s=0), []
    work.fails = True
    loop = Loop(work, warn=warnings.append)
    loop.start()
    wait_for(lambda: warnings)
    loop.stop()
    assert work.steps == 1


def test_a_call_that_fails_takes_no_other_with_it() -> None:
    work, warnings, asked = Work(), [], threading.Event()
    loop = Loop(work, warn=warnings.append)
    for call in (lambda: 1 / 0, asked.set):  # both wait already when it looks
        loop.ask(call)
    loop.start()
    assert asked.wait(20)
    loop.stop()
    assert warnings == ["mrclip failed: ZeroDivisionError: division by zero"]


def test_a_warning_is_what_orthancs_log_takes() -> None:
    assert printable("BadStatusLine: \7\0\ud800 Übung") == "BadStatusLine: ??? Übung"


def test_stopping_before_the_start_is_harmless() -> None:
    Loop(Work(), warn=pytest.fail).stop()
