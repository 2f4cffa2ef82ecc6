"""What a node does while its disk, its ledger, its destination or its peers fail: a figure for each.

Every function gets an empty folder, runs `mrclip serve` there and gives back what it saw, as a sentence.
"""

import os
import resource
import socket
import sqlite3
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import psutil
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE
from pynetdicom.presentation import build_context

import sample  # noqa: F401 - puts the tests' helpers on the path
from dicom_factory import object_pixels, series
from dicom_node.deliver import back_off
from dicom_node.deliver.scu import Peer, association
from dicom_node.receive.storage_classes import VERIFICATION
from killing import Destination
from peers import free_port, program, wait_for
from scripted_peer import ABORTED, FOUR_GIB_CLAIM, associated, data_pdu, ended
from serving import serve, write_settings

_FULL, _STORED = 0xA700, 0x0000
_TRIES = 40  # of a delivery to a destination that is away
_DISK_BYTES = 24 << 20
_IDLE = 30  # sockets
_CLAIMS = 20  # of 4 GiB
_CUT_S = 2.0  # scp.network_timeout_s for who is slow
_DRIP_S = 0.1


def destination_away(folder: Path) -> str:
    """A destination that nobody can connect to, and is back later."""
    destination = Destination(free_port(), Random(0))
    to = {"name": "pacs", "ae_title": "DESTINATION", "host": "127.0.0.1", "port": destination.port}
    work = {"retry_s": 0.02, "retry_max_s": 0.05, "sweep_interval_s": 0.05}
    config = write_settings(folder, work=work, destinations=[to], report={"send": "all"})
    images = [series(2, seed=f"away-{number}") for number in range(4)]
    with serve(config) as node:
        for some in images:
            store(node.ports["dicom"], some)
        fewest = "SELECT count(*), min(attempts) FROM deliveries"
        wait_for(lambda: _at_least(node.query(fewest)[0], (len(images), _TRIES)), 300, what="deliveries being tried")
        with destination.listening():
            begun = time.monotonic()
            node.wait_until_answered(len(images), 120)
            seconds = time.monotonic() - begun
    hours = sum(back_off(number, first_s=10, longest_s=900) for number in range(1, _TRIES + 1)) / 3600
    counts = sorted(len(reports) for reports in destination.reported().values())
    return (
        f"{len(images)} reports tried {_TRIES} times or more each (with the default pauses: {hours:.1f} hours), then "
        f"{len(destination.reports)} delivered within {seconds:.1f} s: {counts.count(1)} series with one report, "
        f"{destination.repeated} sent twice"
    )


def disk_full(folder: Path) -> str:
    """A disk that runs full under spool and ledger, and gets room again."""
    images = series(40, seed="full", pixels=object_pixels(720, 720))
    with small_disk(folder / "disk", _DISK_BYTES) as (disk, limit):
        filler = disk / "filler"
        filler.write_bytes(bytes(4 << 20))
        config = write_settings(folder, spool={"path": str(disk / "data" / "spool")})
        with serve(config) as node:
            limit(node.process.pid, 1 << 20)
            statuses = store(node.ports["dicom"], images)
            refused = [image for image, status in zip(images, statuses, strict=True) if status == _FULL]
            instances = disk / "data" / "spool" / "instances"
            whole = sum(dcmread(path).SOPInstanceUID is not None for path in instances.rglob("*.dcm"))
            parts = len(list(disk.rglob("*.part")))
            filler.unlink()
            limit(node.process.pid, resource.RLIM_INFINITY)
            again = store(node.ports["dicom"], refused[:2])
    return (
        f"of {len(images)} instances of 1 MiB {statuses.count(_STORED)} answered 0000 and {len(refused)} A700; "
        f"{whole} whole files, {parts} partial; with room again {again.count(_STORED)} of {len(again)} stored"
    )


def ledger_locked(folder: Path) -> str:
    """Another process that holds the ledger's write lock."""
    config = write_settings(folder, ledger={"busy_timeout_s": 1})
    images = series(4, seed="locked")
    with serve(config) as node:
        store(node.ports["dicom"], images[:1])
        lock = sqlite3.connect(folder / "data" / "ledger.sqlite3", isolation_level=None, timeout=30)
        lock.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        (status,) = store(node.ports["dicom"], series(1, seed="locked too"))
        seconds = time.monotonic() - begun
        echo = echo_s(node.ports["dicom"])
        lock.execute("ROLLBACK")
        lock.close()
        again = store(node.ports["dicom"], [*images, *series(1, seed="locked too")])
        node.wait_until_answered(2, 60)
        rows = node.query("SELECT count(*) FROM instances")[0][0]
    return (
        f"an instance was answered {status:04X} after {seconds:.1f} s (`busy_timeout_s: 1`), a C-ECHO meanwhile in "
        f"{1000 * echo:.0f} ms; once free, {again.count(_STORED)} of {len(again)} stored, {rows} in the ledger"
    )


def idle_sockets(folder: Path) -> str:
    """Thirty connections that say nothing while a sender stores."""
    with serve(write_settings(folder)) as node, ExitStack() as opened:
        port = node.ports["dicom"]
        seconds: list[float] = []
        stored = 0
        for number in range(2):
            images = series(100, seed=f"idle-{number}", pixels=object_pixels(256, 256))
            begun = time.monotonic()
            stored += store(port, images).count(_STORED)
            seconds.append(time.monotonic() - begun)
            for _ in range(_IDLE):
                opened.enter_context(socket.create_connection(("127.0.0.1", port)))
    return f"{stored} of 200 instances stored: 100 in {seconds[0]:.2f} s without them, in {seconds[1]:.2f} s with them"


def silent_tls_client(folder: Path) -> str:
    """A TLS client that never shakes hands."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-subj", "/CN=localhost", "-days", "2", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    tls = {"certificate": str(certificate), "key": str(key)}
    with serve(write_settings(folder, scp={"tls": tls, "network_timeout_s": _CUT_S})) as node:
        port = node.ports["dicom"]
        with socket.create_connection(("127.0.0.1", port), timeout=30) as silent:
            begun = time.monotonic()
            echo = echo_s(port, ca=certificate)
            ended(silent)
            cut = time.monotonic() - begun
    return f"others were answered in {1000 * echo:.0f} ms; it was cut after {cut:.1f} s (`network_timeout_s: {_CUT_S}`)"


def huge_claim(folder: Path) -> str:
    """PDUs that claim 4 GiB."""
    with serve(write_settings(folder)) as node:
        port, process = node.ports["dicom"], psutil.Process(node.process.pid)
        echo_s(port)
        before = memory_bytes(process)
        begun = time.monotonic()
        aborted = 0
        for _ in range(_CLAIMS):
            with associated(port) as link:
                link.sendall(FOUR_GIB_CLAIM)
                aborted += ended(link)[:1] == bytes([ABORTED])
        seconds = (time.monotonic() - begun) / _CLAIMS
        grown = memory_bytes(process) - before
        echo = echo_s(port)
    return (
        f"{aborted} of {_CLAIMS} associations aborted, each within {1000 * seconds:.0f} ms of its request; the node "
        f"grew by {grown / 2**20:.0f} MiB and answered a C-ECHO in {1000 * echo:.0f} ms"
    )


def slow_loris(folder: Path) -> str:
    """A peer that sends a PDU byte by byte."""
    with serve(write_settings(folder, scp={"network_timeout_s": _CUT_S})) as node:
        with associated(node.ports["dicom"]) as link:
            link.settimeout(_DRIP_S)
            begun, said = time.monotonic(), 0
            for byte in data_pdu(bytes(1000), control=1):
                if not _takes(link, byte):
                    break
                said += 1
            cut = time.monotonic() - begun
        echo = echo_s(node.ports["dicom"])
    return f"it was cut after {cut:.1f} s and {said} bytes; others were answered in {1000 * echo:.0f} ms"


FAULTS: dict[str, Callable[[Path], str]] = {
    "destination away": destination_away,
    "disk full": disk_full,
    "ledger locked by another process": ledger_locked,
    "30 idle connections": idle_sockets,
    "a TLS client that says nothing": silent_tls_client,
    "a PDU that claims 4 GiB": huge_claim,
    "a PDU that drips, a byte each 0.1 s": slow_loris,
}


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[tuple[Path, Callable[[int, int], None]]]:
    """A folder with a small disk of its own, and a function that limits a process to files of some size.

    Only root may mount a disk. For others the limit is the stand-in: to a process that writes, EFBIG is a full disk.
    """
    folder.mkdir()
    if os.geteuid() != 0:
        yield folder, _limit
        return
    options = ["-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    subprocess.run([program("mount"), *options], check=True)
    try:
        yield folder, lambda _pid, _bytes: None
    finally:
        subprocess.run([program("umount"), str(folder)], check=True)


def store(port: int, images: Sequence[Dataset]) -> list[int]:
    """Send images on one association; the status of each."""
    peer = Peer(ae_title="MRCLIP", host="127.0.0.1", port=port, calling_ae_title="SENDER")
    with association(peer, [build_context(MRImageStorage, ExplicitVRLittleEndian)]) as link:
        return [int(link.send_c_store(image).Status) for image in images]


def echo_s(port: int, *, ca: Path | None = None) -> float:
    """How long an association with one C-ECHO takes, in seconds."""
    entity = AE(ae_title="GOOD")
    entity.acse_timeout = entity.dimse_timeout = 30
    tls: Any = None if ca is None else (ssl.create_default_context(cafile=str(ca)), "localhost")
    begun = time.monotonic()
    link = entity.associate("127.0.0.1", port, [build_context(VERIFICATION)], ae_title="MRCLIP", tls_args=tls)
    assert link.is_established
    assert link.send_c_echo().get("Status") == _STORED
    link.release()
    return time.monotonic() - begun


def memory_bytes(process: psutil.Process) -> int:
    """What a process and those that it started hold in memory."""
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def _limit(pid: int, size_bytes: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, hard))


def _at_least(row: tuple[Any, ...], least: tuple[int, int]) -> bool:
    return row[0] >= least[0] and (row[1] or 0) >= least[1]


def _takes(link: socket.socket, byte: int) -> bool:
    try:
        link.sendall(bytes([byte]))
        link.recv(1)
    except TimeoutError:
        return True
    except OSError:
        return False
    return False
