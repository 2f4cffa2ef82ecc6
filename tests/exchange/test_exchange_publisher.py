"""From a node's spool through an object store to a worker that shares nothing with it, and the report back."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicom_factory import series, write
from dicom_node.deliver.folder import FolderDestination
from dicom_node.exchange import publisher
from dicom_node.exchange.publisher import Publisher, PublisherPolicy, WithPublished
from dicom_node.exchange.store import ObjectStore, StoreError
from dicom_node.ledger.records import LIVE, SeriesSummary
from dicom_node.ledger.store import Ledger
from dicom_node.receive.quarantine import StoreRequest
from dicom_node.receive.spool import Spool
from dicom_node.retention import Remover, RetentionPolicy
from dicom_node.work.files import SpoolFiles, StoreFiles, WorkFiles
from dicom_node.work.pipeline import Pipeline, WorkPolicy
from inference.identifiers import SeriesInstanceUid
from inference.read import Reader
from object_store import environment
from peers import free_port
from web_node import NOW, make_intake

POLICY = PublisherPolicy(interval_s=0.05, retry_s=0.05, ahead_s=60)


class Exchange:
    """A node and a worker that share a ledger and an object store, at a time of their own."""

    def __init__(self, folder: Path, ledger: Ledger, store: ObjectStore) -> None:
        self.now, self.folder, self.ledger, self.store = NOW, folder, ledger, store
        self.spool = Spool(folder / "spool")
        self.publisher = self.restarted()
        self.pipeline = self.pipeline_of(StoreFiles(store, folder / "fetched"))

    def pipeline_of(self, files: WorkFiles) -> Pipeline:
        """A worker that has its files from there."""
        return Pipeline(
            ledger=self.ledger,
            files=files,
            reader=lambda: Reader(model=None),
            destinations={"archive": FolderDestination(name="archive", folder=self.folder / "archive")},
            policy=WorkPolicy(
                owner="w", lease_s=60, retry_s=10, retry_max_s=10, delivery_max_attempts=9, send="all",
            ),
            clock=lambda: self.now,
        )  # fmt: skip

    def restarted(self, spool: Spool | None = None) -> Publisher:
        """A publisher that remembers nothing."""
        return Publisher(
            ledger=self.ledger, spool=spool or self.spool, store=self.store, policy=POLICY, clock=lambda: self.now
        )

    def receive(self, seed: str, *, spool: Spool | None = None, first: int = 0, count: int = 3) -> SeriesInstanceUid:
        images = series(first + count, seed=seed, EchoTime=0.09, RepetitionTime=4000)[first:]
        intake = make_intake(self.ledger, spool or self.spool)
        taken = [
            intake.take(StoreRequest.of_file(write(image, self.folder / "sent.dcm").read_bytes())) for image in images
        ]
        return taken[0].series_instance_uid

    def due(self) -> list[SeriesInstanceUid]:
        """What a sweep of the node would submit."""
        return WithPublished(self.ledger, self.publisher).due(self.now, 9, priority=LIVE)

    def work(self) -> None:
        """What a worker does with what is due."""
        self.now += timedelta(seconds=60)
        for uid in self.due():
            self.pipeline.read(uid)
        for delivery in self.ledger.due_deliveries(self.now, 9):
            self.pipeline.deliver(delivery)

    def summary(self, uid: SeriesInstanceUid) -> SeriesSummary:
        record = self.ledger.series(uid)
        assert record is not None
        return record.summary


@pytest.fixture
def exchange(tmp_path: Path, ledger: Ledger, store: ObjectStore) -> Exchange:
    return Exchange(tmp_path, ledger, store)


def test_a_series_is_published_read_elsewhere_and_its_report_comes_home(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = exchange.receive("one")
    exchange.now += timedelta(seconds=60)
    assert exchange.due() == []  # nothing of it is published
    assert exchange.publisher.round() == 3
    assert exchange.publisher.round() == 0
    exchange.work()
    assert exchange.summary(uid).state == "answered"
    assert len(list((exchange.folder / "archive").rglob("*.dcm"))) == 1
    assert list((exchange.folder / "fetched").iterdir()) == []
    assert list(exchange.spool.reports()) == []
    synced = list[Path]()
    monkeypatch.setattr("dicom_node.exchange.store.sync_file", synced.append)
    exchange.publisher.round()
    assert [path.name.partition(".")[2].partition(".")[0] for path in synced] == ["dcm", "json"]
    (filed,) = exchange.spool.reports()
    assert filed.series_instance_uid == uid


def test_a_report_made_before_there_was_a_store_is_published_and_delivered(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicom_node.exchange.publisher._REPORTS", 1)
    with_store, exchange.pipeline = exchange.pipeline, exchange.pipeline_of(SpoolFiles(exchange.spool))
    monkeypatch.setattr(exchange.pipeline, "deliver", lambda delivery: None)  # its destination is away
    uids = [exchange.receive("one"), exchange.receive("two")]
    exchange.now += timedelta(seconds=60)
    for uid in uids:
        exchange.pipeline.read(uid)
    assert [exchange.summary(uid).state for uid in uids] == ["read"] * 2
    exchange.pipeline = with_store
    put, put_report = list[str](), publisher.put_report
    monkeypatch.setattr(publisher, "put_report", lambda *given: (put.append(given[2]), put_report(*given)))
    for _ in range(4):
        exchange.publisher.round()
    assert len(put) == len(set(put)) == 2
    exchange.work()
    assert [exchange.summary(uid).state for uid in uids] == ["answered"] * 2


def test_what_was_published_before_a_crash_is_not_published_again(exchange: Exchange) -> None:
    uid = exchange.receive("one")
    exchange.publisher.round()
    exchange.receive("one", first=3, count=1)
    exchange.publisher = exchange.restarted()
    assert exchange.publisher.holds(uid)
    assert exchange.publisher.round() == 1
    assert not exchange.publisher.holds(uid)


def test_slices_at_two_nodes_make_one_report(exchange: Exchange) -> None:
    other = Spool(exchange.folder / "other")
    uid = exchange.receive("one")
    assert exchange.receive("one", spool=other, first=3) == uid
    exchange.publisher.round()
    exchange.work()  # what the other node has is not published: no attempt is counted
    summary = exchange.summary(uid)
    assert (summary.state, summary.attempts) == ("receiving", 0)
    assert summary.reason == "3 of 6 instances are not in the object store yet"
    exchange.restarted(other).round()
    exchange.work()
    assert exchange.summary(uid).state == "answered"
    assert len(list((exchange.folder / "archive").rglob("*.dcm"))) == 1


def test_a_series_waits_with_the_reason_while_the_store_is_away(tmp_path: Path, ledger: Ledger) -> None:
    with environment({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "AWS_ACCESS_KEY_ID": "k"}):
        exchange = Exchange(tmp_path, ledger, ObjectStore("s3://series/mrclip"))
        uid = exchange.receive("one")
        with pytest.raises(StoreError):
            exchange.publisher.round()
        with pytest.raises(StoreError, match="does not answer"):
            exchange.publisher.check()
        assert "s3://series/mrclip does not answer" in (exchange.summary(uid).reason or "")
        exchange.now += timedelta(seconds=60)
        for _ in range(9):  # more than it has attempts
            exchange.pipeline.read(uid)
            summary = exchange.summary(uid)
            assert (summary.state, summary.attempts) == ("receiving", 0)
            exchange.now += timedelta(seconds=60)

    exchange = Exchange(tmp_path, ledger, ObjectStore(f"file://{tmp_path / 'store'}"))
    exchange.now = NOW + timedelta(hours=1)
    exchange.publisher.round()
    exchange.publisher.check()
    exchange.work()
    assert exchange.summary(uid).state == "answered"


def test_a_file_that_cannot_be_read_keeps_its_own_series_back_and_no_other(exchange: Exchange) -> None:
    poisoned = [exchange.receive(f"bad {number}") for number in range(4)]
    good = exchange.receive("good")
    for uid in poisoned:
        path = exchange.spool.instances(uid)[0]
        path.unlink()
        path.symlink_to(path.name)  # it cannot be opened, by root neither
    assert exchange.publisher.round() == 3
    exchange.publisher.check()  # the store is well
    assert exchange.summary(good).reason is None
    assert {exchange.summary(uid).reason for uid in poisoned} == {"a file of it in the spool cannot be read (ELOOP)"}
    exchange.now += timedelta(seconds=60)
    assert exchange.due() == [good]


def refusing(exchange: Exchange, monkeypatch: pytest.MonkeyPatch, *refused: SeriesInstanceUid) -> list[str]:
    """The store takes nothing of these series; what it was asked to take, by name."""
    asked, put = list[str](), exchange.store.put
    folders = {exchange.spool.series_folder(uid).name for uid in refused}

    def chosen(files: Iterable[tuple[Path, str]]) -> None:
        pairs = list(files)
        asked.extend(name.split("/")[1] for _, name in pairs[:1])
        if any(name.split("/")[1] in folders for _, name in pairs):
            raise StoreError("no")
        put(pairs)

    monkeypatch.setattr(exchange.store, "put", chosen)
    return asked


def test_what_the_store_does_not_take_is_tried_last_and_not_at_once(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [exchange.receive(f"bad {number}") for number in range(2)]
    good = exchange.receive("good")
    asked = refusing(exchange, monkeypatch, *first)
    monkeypatch.setattr("dicom_node.exchange.publisher.time.monotonic", lambda: now_s)
    now_s = 1.0
    assert exchange.publisher.round() == 3
    assert len(asked) == 3
    assert exchange.publisher.round() == 0
    assert len(asked) == 3
    assert [exchange.summary(uid).reason for uid in (*first, good)] == ["no", "no", None]
    later = exchange.receive("later")
    now_s += POLICY.retry_s
    assert exchange.publisher.round() == 3
    assert asked[3] == exchange.spool.series_folder(later).name
    assert len(asked) == 6


def test_a_store_that_takes_nothing_ends_the_round(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    series_uids = [exchange.receive(f"{number}") for number in range(5)]
    asked = refusing(exchange, monkeypatch, *series_uids)
    with pytest.raises(StoreError):
        exchange.publisher.round()
    assert len(asked) == 3
    assert [exchange.summary(uid).reason for uid in series_uids] == ["no"] * 5


def test_what_another_node_removed_is_published_again(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_node.exchange.publisher._LISTED_S", 0.0)
    exchange.receive("one")
    exchange.publisher.round()
    exchange.store.remove("instances")
    assert exchange.publisher.round() == 3


def test_retention_takes_a_series_out_of_the_store_too_once_it_answers(exchange: Exchange) -> None:
    uid = exchange.receive("one")
    exchange.publisher.round()
    exchange.work()
    folder = f"instances/{exchange.spool.series_folder(uid).name}"
    away = [True]

    def unpublish(name: str) -> None:
        if away[0]:
            raise StoreError("it is away")
        exchange.publisher.unpublish(name)

    remover = Remover(
        ledger=exchange.ledger, spool=exchange.spool, clock=lambda: exchange.now, unpublish=unpublish,
        policy=RetentionPolicy(answered=timedelta(days=1), quarantine=None, interval_s=1),
    )  # fmt: skip
    later = datetime.now(UTC) + timedelta(days=3)
    with pytest.raises(StoreError):
        remover.run(later)
    assert exchange.summary(uid).state == "removed"
    assert len(exchange.store.names(folder)) == 3
    away[0] = False
    remover.run(later)
    assert exchange.store.names(folder) == frozenset()
    assert list((exchange.spool.root / "removed").glob("*")) == []


def test_what_a_killed_worker_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    store = ObjectStore(f"file://{tmp_path / 'store'}")
    old, new = tmp_path / "fetched" / "old", tmp_path / "fetched" / "new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "a.dcm").write_bytes(b"a")
    os.utime(old, (0, 0))
    StoreFiles(store, tmp_path / "fetched")
    assert list((tmp_path / "fetched").iterdir()) == [new]
