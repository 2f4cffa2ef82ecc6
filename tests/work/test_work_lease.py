"""A lease is kept for as long as the work takes, also where the ledger is away for a moment."""

import threading
from collections.abc import Callable, Iterable

import pytest

from dicom_node.errors import LedgerUnavailableError
from dicom_node.work.lease import kept


def answering(answers: Iterable[bool | Exception]) -> tuple[Callable[[], bool], threading.Event]:
    """A renewal that answers so, one answer after the other, and an event that is set with the last of them."""
    rest, all_given = list(answers), threading.Event()

    def renew() -> bool:
        answer = rest.pop(0) if rest else True
        if not rest:
            all_given.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    return renew, all_given


def test_a_ledger_that_is_away_for_a_moment_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    away = LedgerUnavailableError("the ledger does not answer: OperationalError")
    renew, all_given = answering([True, away, away, True])
    with kept(renew, every_s=0.001) as lost:
        assert all_given.wait(10)
        assert not lost.is_set()
    said = [(record.getMessage(), record.__dict__["reason"]) for record in caplog.records]
    assert said == [("lease not renewed", str(away))] * 2


def test_a_lease_that_ran_out_meanwhile_is_lost() -> None:
    renew, _ = answering([LedgerUnavailableError("away"), False])
    with kept(renew, every_s=0.001) as lost:
        assert lost.wait(10)
