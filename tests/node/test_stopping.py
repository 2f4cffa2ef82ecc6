"""Commands that run until they are told to stop hear it whatever their main thread is doing."""

import subprocess
import sys

import pytest

PROGRAM = """
import signal, sys, threading
from dicom_node.stopping import stop_event

stop, number = stop_event(), signal.Signals[sys.argv[1]]
# To another thread than the main one, which sleeps on and runs no handler: as with a signal that comes just before.
threading.Timer(0.3, lambda: signal.pthread_kill(threading.get_ident(), number)).start()
sys.exit(0 if stop.wait(10) else "asleep")
"""

TWICE = """
import os, signal, threading
from dicom_node.stopping import stop_event

stop, (listening,) = stop_event(), [one for one in threading.enumerate() if one.name == "signals"]
for _ in range(2):
    os.kill(os.getpid(), signal.SIGINT)
    assert stop.wait(10)
    listening.join(0.1)  # as long as it might take to end
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_does_not_wake_the_main_thread_is_heard(name: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, name], check=False, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_signal_that_comes_again_while_the_command_stops_is_heard_in_silence() -> None:
    ended = subprocess.run([sys.executable, "-c", TWICE], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
