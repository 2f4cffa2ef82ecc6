"""Several receiving processes behind one port are one peer: same limits, same ledger, nothing lost where one ends."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import MRImageStorage
from pynetdicom import AE
from pynetdicom.association import Association
from sqlalchemy import Engine

from dicom_factory import mr_image
from dicom_node.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, Reference, Request
from dicom_node.commitment.messages import request_data_set
from dicom_node.errors import SettingsError
from dicom_node.ledger.rebuild import reconcile
from dicom_node.ledger.store import Ledger
from dicom_node.receive.pool import ScpPool
from dicom_node.receive.spool import Spool
from dicom_node.settings import Settings
from dicom_node.wiring import open_ledger
from dicom_node.wiring_receive import open_spool
from inference.identifiers import SeriesInstanceUid
from peers import wait_for

Start = Callable[..., "Running"]
SERIES = SeriesInstanceUid("1.2.3")


@dataclass(kw_only=True)
class Running:
    """A pool of two processes, with what is behind it."""

    spool: Spool
    ledger: Ledger
    engine: Engine
    released: list[SeriesInstanceUid] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    pool: ScpPool = field(init=False)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.pool.port

    def catch_up(self) -> None:
        """What a node does once a process ended by itself."""
        reconcile(self.ledger, self.spool, now=datetime.now(UTC))

    def instances(self) -> dict[str, int]:
        """How many instances of each series the ledger has."""
        return {line.series_instance_uid: line.instances for line in self.ledger.page()}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts pools: `start(max_associations=1)`; they stop when the test ends."""
    started: list[Running] = []

    def begin(**scp: Any) -> Running:
        root = tmp_path / f"node-{len(started)}"
        settings = Settings.model_validate(
            {
                "scp": {"host": "127.0.0.1", "port": 0, "processes": 2, "stop_timeout_s": 1, **scp},
                "spool": {"path": root / "spool", "reserve_bytes": 0},
            }
        )
        spool = open_spool(settings)
        ledger, engine = open_ledger(settings)
        running = Running(spool=spool, ledger=ledger, engine=engine)
        running.pool = ScpPool(
            settings,
            count=2,
            released=running.released.extend,
            received=running.received.append,
            refused=running.refused.append,
            lost=running.catch_up,
        )
        started.append(running)
        running.pool.start()
        return running

    yield begin
    for one in started:
        one.pool.stop()
        one.engine.dispose()


@pytest.fixture
def associate() -> Iterator[Callable[..., Association]]:
    """Associations, aborted when the test ends where they are still open."""
    made: list[tuple[Association, socket.socket | None]] = []

    def begin(port: int, *classes: str, **options: Any) -> Association:
        entity = AE(ae_title="SENDER")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 30
        for one in classes or (MRImageStorage,):
            entity.add_requested_context(one)
        association = entity.associate("127.0.0.1", port, ae_title="MRCLIP", **options)
        made.append((association, association.dul.socket.socket if association.dul.socket else None))
        return association

    yield begin
    for association, link in made:
        if association.is_established:
            association.abort()
        if link is not None:
            link.close()


def images(count: int, *, first: int = 0, series: str = SERIES) -> list[Dataset]:
    """Instances of one series."""
    return [
        mr_image(index=index, SeriesInstanceUID=series, SOPInstanceUID=f"{series}.{index + 1}")
        for index in range(first, first + count)
    ]


def alive(process_id: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_associations_are_spread_and_their_series_is_released_once_nobody_sends_it(start: Start, associate: Any):
    node = start()
    one, other = associate(node.port), associate(node.port)
    for link, first in ((one, 0), (other, 5)):
        for image in images(5, first=first):
            assert link.send_c_store(image).Status == 0x0000
    assert len(node.spool.instances(SERIES)) == 10
    one.release()
    wait_for(lambda: sum(node.received) == 10, what="the instances being counted")
    assert node.released == []  # the other process still has a sender of it
    other.release()
    wait_for(lambda: node.released == [SERIES], what="the series being released")
    assert node.instances() == {SERIES: 10}


def test_an_instance_that_comes_to_both_at_once_is_stored_once(start: Start, associate: Any):
    node = start()
    links = [associate(node.port) for _ in range(4)]
    answers: list[int] = []

    def send(link: Association) -> None:
        answers.extend(link.send_c_store(image).Status for image in images(5))

    threads = [threading.Thread(target=send, args=(link,)) for link in links]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for link in links:
        link.release()
    assert answers == [0x0000] * 20
    assert len(node.spool.instances(SERIES)) == 5
    wait_for(lambda: node.instances() == {SERIES: 5}, what="the rows")
    assert node.spool.conflicts() == []


@pytest.mark.parametrize("duplicates", ["success", "refuse"])
def test_an_instance_that_comes_under_two_series_at_once_is_in_one(start: Start, associate: Any, duplicates: str):
    node = start(duplicates=duplicates)
    answers: list[int] = []

    def send(series: str) -> None:
        link = associate(node.port)
        for image in images(5):
            image.SeriesInstanceUID = series
            answers.append(link.send_c_store(image).Status)
        link.release()

    threads = [threading.Thread(target=send, args=(series,)) for series in ("1.2.6", "1.2.7", "1.2.8")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ([0x0000] * 15 if duplicates == "success" else [0x0000] * 5 + [0x0111] * 10)
    wait_for(lambda: len(node.spool.conflicts()) == 10, what="the others being set aside")
    assert sum(node.instances().values()) == 5
    kept = {uid: len(node.spool.instances(SeriesInstanceUid(uid))) for uid in ("1.2.6", "1.2.7", "1.2.8")}
    assert {uid: count for uid, count in kept.items() if count} == node.instances()


def test_limits_hold_for_all_processes_together(start: Start, associate: Any):
    node = start(max_associations=2, max_connections_per_peer=3)
    first, second, third = (associate(node.port) for _ in range(3))
    assert first.is_established
    assert second.is_established
    assert third.is_rejected
    wait_for(lambda: node.refused == ["associations"], what="it being counted")
    first.release()
    wait_for(lambda: associate(node.port).is_established, what="a place being free again")


def test_a_process_that_is_killed_is_replaced_and_loses_nothing(start: Start, associate: Any):
    node = start()
    one, other = associate(node.port), associate(node.port)
    acknowledged = 0
    for image in images(20):
        for link in (one, other):
            acknowledged += link.send_c_store(image).Status == 0x0000
    assert acknowledged == 40
    own = ("1.2.6", "1.2.7")
    for link, uid in zip((one, other), own, strict=True):
        assert link.send_c_store(mr_image(SeriesInstanceUID=uid, SOPInstanceUID=f"{uid}.1")).Status == 0x0000
    victim, survivor = node.pool.process_ids
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: one.is_aborted != other.is_aborted, what="the peers of one process seeing an abort")
    there = {SERIES: 20, **dict.fromkeys(own, 1)}
    wait_for(lambda: node.instances() == there, what="the ledger being brought up to the spool")
    wait_for(lambda: len(set(node.pool.process_ids) - {victim, survivor}) == 1, what="a new process")
    assert node.released == []  # the sender that was cut off will send the rest
    links = [associate(node.port) for _ in range(2)]
    for number, link in enumerate(links):
        (image,) = images(1, first=20 + number)
        assert link.send_c_store(image).Status == 0x0000


def test_a_process_that_ends_while_it_is_given_a_connection_keeps_nobody_out(
    start: Start, associate: Any, monkeypatch: pytest.MonkeyPatch
):
    node = start(acse_timeout_s=5)
    victim = node.pool._processes[0]
    say = victim.channel.say

    def too_late(*words: Any, descriptor: int | None = None) -> bool:
        if words[0] == "connection":
            given = victim.connections[words[1]]
            victim.popen.kill()
            wait_for(lambda: given.link.fileno() == -1, what="the connection being dropped with its process")
        return say(*words, descriptor=descriptor)

    monkeypatch.setattr(victim.channel, "say", too_late)
    with socket.create_connection(("127.0.0.1", node.port), timeout=20) as cut_off:
        assert cut_off.recv(1) == b"\x07"  # an abort
        link = associate(node.port)
    assert link.is_established
    (image,) = images(1)
    assert link.send_c_store(image).Status == 0x0000
    assert not victim.connections


def test_they_end_when_the_one_that_accepts_is_killed(tmp_path: Path):
    command = [sys.executable, str(Path(__file__).with_name("receiving_process.py")), str(tmp_path), "2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        processes = [int(number) for number in process.stdout.readline().split()]
        assert len(processes) == 2
        assert all(map(alive, processes))
        process.kill()
    wait_for(lambda: not any(map(alive, processes)), what="the processes ending")


def test_stopping_lets_associations_end_and_aborts_the_rest(start: Start, associate: Any):
    node = start(stop_timeout_s=5)
    one, other = associate(node.port), associate(node.port)
    stopping = threading.Thread(target=node.pool.stop)
    stopping.start()
    (image,) = images(1)
    assert one.send_c_store(image).Status == 0x0000
    one.release()
    stopping.join(30)
    assert not stopping.is_alive()
    wait_for(lambda: other.is_aborted, what="the other one being aborted")
    assert node.instances() == {SERIES: 1}
    assert not any(map(alive, node.pool.process_ids))


def test_a_request_for_commitment_is_kept_whichever_process_it_comes_to(start: Start, associate: Any):
    node = start()
    asked = [
        Request(
            transaction_uid=f"2.25.{number}",
            references=(Reference(sop_class_uid=MRImageStorage, sop_instance_uid="1.2.3.1"),),
        )
        for number in (1, 2)
    ]
    links = [associate(node.port, MRImageStorage, PUSH_MODEL) for _ in asked]
    for link, request in zip(links, asked, strict=True):
        status, _ = link.send_n_action(request_data_set(request), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        assert status.Status == 0x0000
    assert sum(node.ledger.commitments_by_state().values()) == 2


@pytest.mark.peer("openssl")
def test_tls_is_spoken_by_the_processes(start: Start, associate: Any, certificate: tuple[Path, Path]):
    chain, key = certificate
    node = start(tls={"certificate": str(chain), "key": str(key)})
    silent = socket.create_connection(("127.0.0.1", node.port), timeout=20)  # and holds up nobody
    context = ssl.create_default_context(cafile=str(chain))
    for _ in range(2):
        link = associate(node.port, tls_args=(context, "localhost"))
        assert link.is_established
        link.release()
    silent.close()


def test_wrong_certificates_are_an_error_before_anything_starts(start: Start, tmp_path: Path):
    with pytest.raises(SettingsError):
        start(tls={"certificate": str(tmp_path / "none"), "key": str(tmp_path / "none")})


def test_a_port_that_is_taken_is_an_error_before_anything_starts(start: Start):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"^scp\.host and scp\.port: cannot listen on 127\.0\.0\.1:{port}: "):
            start(port=port)
