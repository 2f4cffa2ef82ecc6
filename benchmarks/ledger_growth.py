"""What one more instance and the question what is due cost with a million series in the ledger, and with a thousand."""

import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pynetdicom.dsutils import encode

import worklist
from dicom_factory import mr_image
from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.store import Ledger
from dicom_node.receive.intake import Intake, QuietTimes
from dicom_node.receive.quarantine import Quarantine, StoreRequest
from dicom_node.receive.spool import Spool

SMALL, LARGE = 1_000, 1_000_000
REPEATS = 400
SYNTAX = "1.2.840.10008.1.2"
INSTANCES = """
INSERT INTO instances (series_id, sop_uid, sop_class_uid, size_bytes, received_at)
SELECT id, series_uid || '.1', '1.2.840.10008.5.1.4.1.1.4', 132000, first_at FROM series
"""
DUE = "UPDATE series SET due_at = first_at WHERE state = 'receiving'"
QUIET = QuietTimes(quiet_s=3600, quiet_after_release_s=2)


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def requests() -> list[StoreRequest]:
    """Instances nobody has yet, 24 of each series."""
    image = mr_image()
    made: list[StoreRequest] = []
    for index in range(REPEATS):
        image.SeriesInstanceUID, image.SOPInstanceUID = f"1.2.3.{index // 24}", f"1.2.3.{index // 24}.{index}"
        data_set = encode(image, True, True)
        assert data_set is not None
        made.append(
            StoreRequest(
                sop_class_uid=str(image.SOPClassUID),
                sop_instance_uid=str(image.SOPInstanceUID),
                transfer_syntax_uid=SYNTAX,
                data_set=data_set,
                calling_aet="SCANNER",
            )
        )
    return made


def node(root: Path, series: int) -> tuple[Intake, Ledger]:
    """The receiving part on a ledger with `series` series, 49 of which are due."""
    root.mkdir()
    engine = open_engine(f"sqlite:///{root / 'ledger.sqlite3'}")
    migrate(engine)
    filled = sqlite3.connect(root / "ledger.sqlite3")
    with filled:
        filled.execute(worklist.FILL, {"series": series})
        filled.execute(INSTANCES)
        filled.execute(DUE)
    filled.close()
    ledger, spool = Ledger(engine), Spool(root / "spool")
    intake = Intake(ledger=ledger, spool=spool, quarantine=Quarantine(spool.root), quiet=QUIET, clock=now)
    return intake, ledger


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    """Print the table."""
    with TemporaryDirectory() as folder:
        nodes = {series: node(Path(folder, str(series)), series) for series in (SMALL, LARGE)}
        accepted: dict[int, list[float]] = {series: [] for series in nodes}
        asked: dict[int, list[float]] = {series: [] for series in nodes}
        for request in requests():  # in turns, so that a busy moment of the machine is both's
            for series, (intake, ledger) in nodes.items():
                accepted[series].append(seconds(partial(intake.take, request)))
                asked[series].append(seconds(partial(ledger.due, now(), 64)))
    print(f"| p95 of {REPEATS} | {SMALL:,} series | {LARGE:,} series | ratio |\n|---|---:|---:|---:|")
    for name, times in (("accepting one instance, synced", accepted), ("finding what is due", asked)):
        small, large = (float(np.percentile(times[series], 95)) * 1000 for series in (SMALL, LARGE))
        print(f"| {name} | {small:.2f} ms | {large:.2f} ms | {large / small:.2f} |")
    print("\nSQLite; generated rows, one instance a series, 49 series due; both ledgers in turns in one run.")


if __name__ == "__main__":
    main()
