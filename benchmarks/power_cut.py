"""What a node has answered for is on the disk when the power goes: real file systems, cut off while it receives.

`power_cut.py [CUTS]`, as root: file systems in files, mounted as loop devices, shut down in the kernel with nothing
more written (FS_IOC_SHUTDOWN, as xfstests does it) and mounted again. A cache of the disk itself is no part of this,
and ext4 without a journal cannot be tested so: what it has not written yet is written when it is unmounted.
"""

import fcntl
import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, _config
from pynetdicom.dsutils import encode

import sample  # noqa: F401 - puts the tests' helpers on the path
from dicom_factory import mr_image
from dicom_node.errors import CannotUnderstandError
from dicom_node.receive.part10 import identify, read_file_meta
from dicom_node.receive.spool import Spool
from inference.identifiers import SeriesInstanceUid

CUTS = 20
SENDERS = 2
SEED = 2026
SIDE_PX = 64
SHUTDOWN, WITHOUT_LOG = 0x8004587D, 2  # FS_IOC_SHUTDOWN and its flag (linux/fs.h)
MAKE = {
    "ext4": ["mkfs.ext4", "-q"],
    "XFS": ["mkfs.xfs", "-q"],
}


@dataclass
class Toll:
    """What became of instances."""

    sent: dict[str, str] = field(default_factory=dict)  # digests of data sets by SOP Instance UID
    series: dict[str, str] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)  # of those
    torn: int = 0  # files under a final name that are not what was sent
    restored: int = 0  # names that came back from those of parts
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[None]:
    """The file system in a file; one that was cut off is mended by its own journal."""
    subprocess.run(["mount", "-o", "loop", image, at], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


def cut(at: Path) -> None:
    """Have the kernel write nothing more to the file system."""
    descriptor = os.open(at, os.O_RDONLY)
    fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", WITHOUT_LOG))
    os.close(descriptor)


def send(port: int, toll: Toll, seed: str) -> None:
    """Send instances of a series until the node is gone."""
    entity = AE()
    entity.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port, ae_title="MRCLIP")
    link = association.dul.socket
    assert link is not None
    assert link.socket is not None
    link.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pixels = np.random.default_rng(SEED).integers(0, 1000, (SIDE_PX, SIDE_PX)).astype(np.uint16)
    for index in range(100_000):
        image = mr_image(seed=seed, index=index, pixels=pixels)
        encoded = encode(image, is_implicit_vr=False, is_little_endian=True)
        with toll.lock:
            toll.sent[image.SOPInstanceUID] = sha256(encoded or b"").hexdigest()
            toll.series[image.SOPInstanceUID] = image.SeriesInstanceUID
        try:
            status = association.send_c_store(image)
        except (RuntimeError, ValueError):  # the association has ended
            return
        if "Status" not in status or status.Status:
            return
        with toll.lock:
            toll.answered.add(image.SOPInstanceUID)


def receive(at: Path, toll: Toll, number: int, chance: random.Random, *, syncs: bool) -> None:
    """Have a node receive for a while, and cut it off."""
    command = [sys.executable, str(Path(__file__).with_name("tuned_scp.py")), str(at), json.dumps({"syncs": syncs})]
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet, text=True) as node:
        assert node.stdout is not None
        port = int(node.stdout.readline())
        names = [f"{syncs}-{at.name}-{number}-{one}" for one in range(SENDERS)]
        senders = [threading.Thread(target=send, args=(port, toll, name)) for name in names]
        for sender in senders:
            sender.start()
        time.sleep(chance.uniform(0.2, 1.5))
        cut(at)
        time.sleep(0.05)  # what is answered from now on counts too
        node.kill()
    for sender in senders:
        sender.join()


def count(at: Path, toll: Toll) -> None:
    """See what is left, as the next start of a node does."""
    spool = Spool(at / "spool")
    named = {Path(str(part).partition(".dcm.")[0] + ".dcm") for part in spool.root.rglob("*.part")}
    missing = {path for path in named if not path.exists()}
    spool.clean()
    toll.restored += sum(1 for path in missing if path.exists())
    found: set[str] = set()
    for path in spool.root.glob("instances/*/*.dcm"):
        file = memoryview(path.read_bytes())
        try:
            data_set = file[read_file_meta(file).data_set_offset :]
            uid = identify(data_set, ExplicitVRLittleEndian).sop_instance_uid
        except CannotUnderstandError:
            toll.torn += 1
            continue
        is_it = sha256(data_set).hexdigest() == toll.sent[uid]
        found |= {uid} if is_it and path == spool.instance_path(SeriesInstanceUid(toll.series[uid]), uid) else set()
        toll.torn += not is_it
    toll.lost |= toll.answered - found


def undergo(folder: Path, make: list[str], *, cuts: int, syncs: bool) -> Toll:
    """Cut one file system off so many times."""
    image, at, toll, chance = folder / "image", folder / "mounted", Toll(), random.Random(SEED)
    at.mkdir()
    with image.open("wb") as file:
        file.truncate(2 << 30)
    subprocess.run([*make, image], check=True)
    for number in range(cuts):
        with mounted(image, at):
            receive(at, toll, number, chance, syncs=syncs)
        with mounted(image, at):
            count(at, toll)
    return toll


def main(cuts: int) -> None:
    """Print the section."""
    _config.LOG_HANDLER_LEVEL = "none"
    titles = ("cuts", "answered 0000", "**of them lost**", "torn under their name", "had the name of their part only")
    print("| file system | " + " | ".join(titles) + " |\n|---|" + "---:|" * len(titles))
    for name, make in MAKE.items():
        for syncs in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                toll = undergo(Path(folder), make, cuts=cuts, syncs=syncs)
            title = name if syncs else f"{name}; for comparison, a node that does not sync"
            cells = (title, cuts, len(toll.answered), len(toll.lost), toll.torn, toll.restored)
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
            if syncs and (toll.lost or toll.torn):
                sys.exit("the power cut cost what was answered for")
    print(
        f"\n{SENDERS} senders of images of {SIDE_PX} x {SIDE_PX}, cut off after 0.2 to 1.5 s (seed {SEED}), the same"
        " file system again and again. Shut down in the kernel without its log being written, then mounted again."
    )


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("power_cut.py mounts file systems: run it as root")
    main(*map(int, sys.argv[1:]) if sys.argv[1:] else (CUTS,))
