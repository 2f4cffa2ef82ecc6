"""A process that receives is killed at any moment: what it answered for is whole, and nothing is half there."""

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import MRImageStorage
from pynetdicom import AE

from dicom_factory import mr_image
from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.rebuild import reconcile
from dicom_node.ledger.store import Ledger
from dicom_node.receive.spool import Spool
from peers import wait_for

IMAGES = 60


@contextmanager
def process(root: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A receiving process and its port."""
    command = [sys.executable, str(Path(__file__).with_name("receiving_process.py")), str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield running, int(running.stdout.readline())
        finally:
            running.kill()


class Sender(threading.Thread):
    """Sends images one after the other until there are none left or nobody answers."""

    def __init__(self, port: int, images: list[Dataset]) -> None:
        super().__init__()
        self.port, self.images = port, images
        self.answered: list[str] = []

    def run(self) -> None:
        entity = AE(ae_title="SENDER")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
        entity.add_requested_context(MRImageStorage)
        association = entity.associate("127.0.0.1", self.port, ae_title="MRCLIP")
        if not association.is_established:
            return
        link = association.dul.socket.socket if association.dul.socket else None
        for image in self.images:
            if not association.is_established or association.send_c_store(image).get("Status") != 0x0000:
                break
            self.answered.append(image.SOPInstanceUID)
        if association.is_established:
            association.release()
        if link is not None:
            link.close()


def sent_until_killed(root: Path, images: list[Dataset], enough: int) -> set[str]:
    """Two senders at once, until `enough` instances were answered for and the process is killed; all that were."""
    with process(root) as (running, port):
        senders = [Sender(port, images[half::2]) for half in (0, 1)]
        for sender in senders:
            sender.start()
        wait_for(lambda: sum(len(sender.answered) for sender in senders) >= enough, 60, what="some answers")
        running.send_signal(signal.SIGKILL)
        running.wait()
        for sender in senders:
            sender.join(60)
    return {uid for sender in senders for uid in sender.answered}


@pytest.mark.parametrize("seed", range(3))
def test_what_was_answered_is_whole_and_nothing_is_half_there(tmp_path: Path, seed: int):
    chance = random.Random(seed)
    pixels = np.random.default_rng(seed).integers(0, 1000, (256, 256)).astype(np.uint16)
    images = [mr_image(seed=seed, index=index, pixels=pixels) for index in range(IMAGES)]
    originals = {image.SOPInstanceUID: image for image in images}
    answered: set[str] = set()
    for _ in range(2):  # killed, started on what is there, and killed again
        answered |= sent_until_killed(tmp_path, images, chance.randrange(1, IMAGES // 3))
    spool = Spool(tmp_path / "spool")
    assert {dcmread(path).SOPInstanceUID for path in (spool.root / "instances").rglob("*.dcm")} >= answered
    spool.clean()  # what was synced and not named yet is named
    found = {path: dcmread(path) for path in (spool.root / "instances").rglob("*.dcm")}
    assert {dataset.SOPInstanceUID for dataset in found.values()} >= answered
    for path, dataset in found.items():  # whole, also those whose answer did not arrive
        assert dataset == originals[dataset.SOPInstanceUID]
        assert path == spool.instance_path(dataset.SeriesInstanceUID, dataset.SOPInstanceUID)

    assert list(spool.root.rglob("*.part")) == []
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    ledger = Ledger(engine)
    reconcile(ledger, spool, now=datetime.now(UTC))
    assert [line.instances for line in ledger.page()] == [len(found)]
    engine.dispose()
