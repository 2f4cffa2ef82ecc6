"""A receiving node as a process of its own, to be killed: `python receiving_process.py FOLDER`; prints its port."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.store import Ledger
from dicom_node.receive.intake import Intake, QuietTimes
from dicom_node.receive.quarantine import Quarantine
from dicom_node.receive.server import StorageScp
from dicom_node.receive.spool import Spool
from dicom_node.settings import ScpSettings


def main() -> None:
    """Receive until killed."""
    root = Path(sys.argv[1])
    spool = Spool(root / "spool")
    engine = open_engine(f"sqlite:///{root / 'ledger.sqlite3'}")
    migrate(engine)
    intake = Intake(
        ledger=Ledger(engine),
        spool=spool,
        quarantine=Quarantine(spool.root),
        quiet=QuietTimes(quiet_s=30, quiet_after_release_s=2),
        clock=lambda: datetime.now(UTC),
    )
    scp = StorageScp(ScpSettings(host="127.0.0.1", port=0), intake)
    scp.start()
    print(scp.port, flush=True)  # noqa: T201
    sys.stdin.read()


if __name__ == "__main__":
    main()
