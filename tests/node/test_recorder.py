"""Rows are written together, waited for where they must be, and kept where the ledger does not answer."""

import errno
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from sqlalchemy.exc import DataError

from dicom_node.errors import LedgerUnavailableError, SpoolFullError
from dicom_node.ledger.records import LIVE, ReceivedInstance
from dicom_node.receive.recorder import Recorder
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from peers import wait_for

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def row(number: int, series: str = "1.2") -> ReceivedInstance:
    """An instance of a series."""
    return ReceivedInstance(
        study_instance_uid=StudyInstanceUid("1"),
        series_instance_uid=SeriesInstanceUid(series),
        sop_instance_uid=SopInstanceUid(f"1.2.{number}"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        modality="MR",
        calling_aet=None,
        size_bytes=1,
        priority=LIVE,
    )


class FakeLedger:
    """Keeps what it is given, as long as `answers` says that it may."""

    def __init__(self) -> None:
        self.batches: list[list[ReceivedInstance]] = []
        self.released: list[tuple[list[SeriesInstanceUid], int]] = []
        self.answers: Callable[[list[ReceivedInstance]], None] = lambda rows: None
        self.elsewhere: set[str] = set()  # UIDs of instances that another series has
        self.aside: list[tuple[str, str]] = []  # what was set aside

    @property
    def rows(self) -> list[ReceivedInstance]:
        """Everything that it was given."""
        return [one for batch in self.batches for one in batch]

    def record_instances(
        self, instances: Iterable[ReceivedInstance], *, now: datetime, due_at: datetime
    ) -> list[ReceivedInstance]:
        rows = list(instances)
        self.answers(rows)
        self.batches.append(rows)
        return [one for one in rows if one.sop_instance_uid in self.elsewhere]

    def release(self, series: Iterable[SeriesInstanceUid], *, due_at: datetime) -> None:
        self.released.append((list(series), len(self.rows)))

    def set_aside(self, series: SeriesInstanceUid, instance: SopInstanceUid) -> None:
        self.aside.append((series, instance))


@pytest.fixture
def fake() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def recorder(fake: FakeLedger) -> Iterator[Recorder]:
    recorder = Recorder(fake, set_aside=fake.set_aside)
    recorder.start()
    yield recorder
    fake.answers = lambda rows: None
    recorder.stop()


def take(recorder: Recorder, number: int, series: str = "1.2") -> bool:
    """Record one instance."""
    return recorder.record_instance(row(number, series), now=NOW, due_at=NOW)


def unavailable(_rows: object) -> None:
    raise LedgerUnavailableError("the ledger does not answer")


def test_the_first_row_of_a_series_is_waited_for_and_the_rest_goes_together(recorder: Recorder, fake: FakeLedger):
    take(recorder, 0)
    assert fake.rows == [row(0)]
    for number in range(1, 50):
        take(recorder, number)
    recorder.flush()
    assert fake.rows == [row(number) for number in range(50)]
    assert len(fake.batches) < 25


def test_names_are_on_the_disk_before_rows_tell_of_them(fake: FakeLedger):
    written: list[int] = []
    recorder = Recorder(fake, set_aside=fake.set_aside, settle=lambda: written.append(len(fake.rows)))
    recorder.start()
    try:
        take(recorder, 0)
        assert written == [0]
        take(recorder, 1)
        recorder.flush()
        assert written == [0, 1]
    finally:
        recorder.stop()


def test_a_release_comes_after_every_row_before_it(recorder: Recorder, fake: FakeLedger):
    for number in range(10):
        take(recorder, number)
    recorder.release([SeriesInstanceUid("1.2")], due_at=NOW)
    assert fake.released == [([SeriesInstanceUid("1.2")], 10)]


def test_a_ledger_that_does_not_answer_is_an_error_for_who_waits_and_forgets_nothing_else(
    recorder: Recorder, fake: FakeLedger
):
    take(recorder, 0)
    blocked, failing = threading.Event(), threading.Event()

    def answer(_rows: object) -> None:
        blocked.set()
        assert failing.wait(20)
        unavailable(_rows)

    fake.answers = answer
    take(recorder, 1)  # its series was recorded a moment ago
    assert blocked.wait(20)
    failing.set()
    with pytest.raises(LedgerUnavailableError):
        take(recorder, 2, series="1.3")
    with pytest.raises(LedgerUnavailableError):
        wait_for(lambda: take(recorder, 3), what="the recent series being waited for too")
    fake.answers = lambda rows: None
    recorder.flush()
    assert row(1) in fake.rows
    assert row(2, "1.3") not in fake.rows  # its sender was told to come again


def test_a_row_that_the_ledger_never_takes_keeps_no_other_out(recorder: Recorder, fake: FakeLedger):
    def answer(rows: list[ReceivedInstance]) -> None:
        if row(13) in rows:
            raise DataError("insert", {}, ValueError())

    fake.answers = answer
    with pytest.raises(LedgerUnavailableError):
        take(recorder, 13)
    take(recorder, 0)
    for number in (1, 13, 2):
        take(recorder, number)
    recorder.flush()
    assert sorted(fake.rows, key=lambda one: one.sop_instance_uid) == [row(0), row(1), row(2)]


def test_a_series_with_a_row_that_was_refused_is_waited_for(recorder: Recorder, fake: FakeLedger):
    def answer(rows: list[ReceivedInstance]) -> None:
        if row(13) in rows:
            raise DataError("insert", {}, ValueError())

    take(recorder, 0)
    fake.answers = answer
    take(recorder, 13)  # its series was recorded a moment ago, so nobody waits
    recorder.flush()
    for _ in range(2):
        with pytest.raises(LedgerUnavailableError):
            take(recorder, 13)
    assert fake.rows == [row(0)]


def test_rows_that_are_tried_singly_are_tried_no_more_once_the_ledger_is_away(recorder: Recorder, fake: FakeLedger):
    asked: list[int] = []

    def answer(rows: list[ReceivedInstance]) -> None:
        asked.append(len(rows))
        if len(rows) > 1:
            raise DataError("insert", {}, ValueError())
        unavailable(rows)

    take(recorder, 0)
    fake.answers = answer
    for number in range(1, 9):
        take(recorder, number)
    with pytest.raises(LedgerUnavailableError):
        recorder.flush()
    fake.answers = lambda rows: None
    recorder.flush()
    assert asked[0] > 1
    assert all(one > 1 for one, following in pairwise(asked) if following == 1)
    assert set(fake.rows) == {row(number) for number in range(9)}


def test_nobody_is_told_that_a_row_is_written_because_others_gave_up(recorder: Recorder, fake: FakeLedger):
    failing, first = threading.Event(), threading.Event()
    answered: list[bool] = []

    def answer(_rows: object) -> None:
        first.set()
        assert failing.wait(20)
        unavailable(_rows)

    def send(number: int) -> None:
        with suppress(LedgerUnavailableError):
            answered.append(take(recorder, number, series=f"1.2.{number}"))

    fake.answers = answer
    threads = [threading.Thread(target=send, args=(number,)) for number in range(60)]
    threads[0].start()
    assert first.wait(20)
    for thread in threads[1:]:
        thread.start()
    wait_for(lambda: len(recorder._waiting) == 59, what="all others waiting")
    failing.set()
    for thread in threads:
        thread.join()
    assert (answered, fake.rows) == ([], [])


def test_the_recorder_goes_on_where_all_gave_up_what_it_was_about_to_write(recorder: Recorder, fake: FakeLedger):
    gathering, wait = threading.Event(), recorder._changed.wait_for

    def all_gave_up(predicate: Callable[[], object], timeout: float | None = None) -> object:
        if timeout is None or gathering.is_set():
            return wait(predicate, timeout)
        recorder._waiting.clear()
        gathering.set()
        return False

    take(recorder, 0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recorder._changed, "wait_for", all_gave_up)
        take(recorder, 1)
        assert gathering.wait(20)
    take(recorder, 2, series="1.3")
    assert fake.rows == [row(0), row(2, "1.3")]


def test_whatever_goes_wrong_is_told_to_who_waits_and_the_recorder_goes_on(recorder: Recorder, fake: FakeLedger):
    def answer(_rows: object) -> None:
        raise KeyError("a fault of the program")

    fake.answers = answer
    with pytest.raises(LedgerUnavailableError, match="KeyError"):
        take(recorder, 0)
    fake.answers = lambda rows: None
    assert take(recorder, 1)
    assert row(1) in fake.rows


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_waits_is_told_where_the_recorder_ends(fake: FakeLedger):
    recorder = Recorder(fake, set_aside=fake.set_aside)

    def answer(_rows: object) -> None:
        raise SystemExit

    fake.answers = answer
    recorder.start()
    with pytest.raises(LedgerUnavailableError):
        take(recorder, 0)
    recorder.stop()


def test_stopping_writes_what_waits_and_takes_no_more(fake: FakeLedger):
    recorder = Recorder(fake, set_aside=fake.set_aside)
    recorder.start()
    for number in range(20):
        take(recorder, number)
    recorder.stop()
    recorder.stop()
    assert fake.rows == [row(number) for number in range(20)]
    with pytest.raises(LedgerUnavailableError):
        take(recorder, 20)


def test_stopping_does_not_wait_for_a_ledger_that_is_away(fake: FakeLedger):
    recorder = Recorder(fake, set_aside=fake.set_aside)
    recorder.start()
    take(recorder, 0)
    fake.answers = unavailable
    take(recorder, 1)
    recorder.stop()
    assert fake.rows == [row(0)]


def test_many_threads_lose_nothing(recorder: Recorder, fake: FakeLedger):
    def send(series: int) -> None:
        for number in range(100):
            take(recorder, series * 100 + number, f"1.{series}")

    threads = [threading.Thread(target=send, args=(series,)) for series in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.flush()
    assert len(fake.rows) == 400
    assert {one.sop_instance_uid for one in fake.rows} == {f"1.2.{number}" for number in range(400)}


def test_who_waits_is_told_that_another_series_has_the_uid(recorder: Recorder, fake: FakeLedger):
    fake.elsewhere = {"1.2.7"}
    assert take(recorder, 0)
    for _ in range(3):  # a series of which nothing was recorded is waited for each time
        assert not take(recorder, 7, series="1.3")
    assert fake.aside == [("1.3", "1.2.7")] * 3


def test_what_nobody_waits_for_is_set_aside_too(recorder: Recorder, fake: FakeLedger):
    fake.elsewhere = {"1.2.7"}
    take(recorder, 0)
    assert take(recorder, 7)  # nobody knows yet
    recorder.flush()
    assert fake.aside == [("1.2", "1.2.7")]


@pytest.mark.parametrize("error", [SpoolFullError("full"), OSError(errno.ESTALE, "stale")])
def test_a_disk_that_does_not_move_a_file_keeps_no_row_out(
    recorder: Recorder, fake: FakeLedger, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    def fail(_series: object, _instance: object) -> None:
        raise error

    monkeypatch.setattr(recorder, "_set_aside", fail)
    fake.elsewhere = {"1.2.7"}
    assert not take(recorder, 7)
    assert take(recorder, 8)


def test_a_patient_recorder_waits_for_every_row(fake: FakeLedger):
    recorder = Recorder(fake, set_aside=fake.set_aside, patient=True)
    recorder.start()
    fake.elsewhere = {"1.2.7"}
    assert [take(recorder, number) for number in (0, 1, 7, 8)] == [True, True, False, True]
    assert len(fake.batches) == 4
    recorder.stop()
