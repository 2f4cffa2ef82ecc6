"""What older readers read is read again once, and not for ever where a worker has another reader."""

from datetime import UTC, datetime, timedelta

import pytest

from dicom_node.ledger.records import LATER, LIVE, Priority
from dicom_node.work.outdated import WithOutdated
from inference.identifiers import SeriesInstanceUid

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Archive:
    """A ledger of series by the reader that read them; what is made due is read at once, by the worker's reader."""

    def __init__(self, count: int, *, worker: str) -> None:
        self.read_by = {SeriesInstanceUid(f"1.{number}"): "old" for number in range(count)}
        self.worker, self.readings = worker, 0

    def due(self, now: datetime, limit: int, *, priority: Priority) -> list[SeriesInstanceUid]:
        return []

    def reread(self, reader_digest: str, *, now: datetime, limit: int) -> list[SeriesInstanceUid]:
        found = [series for series, reader in self.read_by.items() if reader != reader_digest][:limit]
        for series in found:
            self.read_by[series] = self.worker
            self.readings += 1
        return found


def sweeps(archive: Archive, count: int, *, digests: str = "a", start: datetime = NOW) -> None:
    """So many sweeps, one a second; the reader's digest changes by letter along the way."""
    now, digest = start, digests[0]
    outdated = WithOutdated(archive, reader_digest=lambda: digest)  # type: ignore[arg-type] - a double
    for number in range(count):
        now, digest = start + timedelta(seconds=number), digests[number * len(digests) // count]
        for priority in (LIVE, LATER):
            outdated.due(now, 4, priority=priority)


def test_everything_is_read_again_once(caplog: pytest.LogCaptureFixture) -> None:
    archive = Archive(10, worker="a")
    sweeps(archive, 3600)
    assert (archive.readings, set(archive.read_by.values()), caplog.records) == (10, {"a"}, [])


def test_a_worker_with_another_reader_is_named_and_given_little_to_do(caplog: pytest.LogCaptureFixture) -> None:
    archive = Archive(10, worker="another")
    sweeps(archive, 3600)
    assert archive.readings == 4 * (1 + 6)  # a first time, then every ten minutes of the hour
    assert [record.__dict__["count"] for record in caplog.records] == [4] * 6
    assert "another reader" in caplog.text


def test_a_reader_that_changes_ends_the_pause(caplog: pytest.LogCaptureFixture) -> None:
    archive = Archive(10, worker="b")
    sweeps(archive, 60, digests="ab")
    assert set(archive.read_by.values()) == {"b"}
    assert len(caplog.records) == 1
