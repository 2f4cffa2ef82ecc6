"""A thread that does the same thing again and again does it again whatever happened."""

import logging

import pytest

from dicom_node.rounds import Rounds
from peers import wait_for


def test_a_fault_costs_one_round_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    def do() -> None:
        done.append(len(done))
        if len(done) == 1:
            raise KeyError("a fault of the program")

    rounds = Rounds(do, name="sweeper", interval_s=0.01)
    with caplog.at_level(logging.ERROR, logger="dicom_node.rounds"):
        rounds.start()
        wait_for(lambda: len(done) > 2, what="rounds after the fault")
    assert rounds.stop()
    (record,) = caplog.records
    assert (record.message, record.__dict__["task"]) == ("a round failed", "sweeper")
