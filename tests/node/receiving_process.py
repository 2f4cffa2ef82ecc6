"""A receiving node as a process of its own, to be killed: `python receiving_process.py FOLDER [PROCESSES]`.

Prints its port, and on a second line the processes that receive for it, if there are others.
"""

import sys
from pathlib import Path

from dicom_node.receive.pool import ScpPool
from dicom_node.settings import Settings
from dicom_node.web.metrics import Metrics
from dicom_node.wiring import make_scp, open_ledger
from dicom_node.wiring_receive import make_commitment_scp, make_intake, make_recorder, make_reporter, open_spool


def receive(root: Path, changed: dict[str, object]) -> None:
    """Receive with settings of the SCP until killed, or until standard input ends."""
    settings = Settings.model_validate(
        {
            "scp": {"host": "127.0.0.1", "port": 0, "processes": 1, **changed},
            "spool": {"path": root / "spool", "reserve_bytes": 0},
        }
    )
    spool = open_spool(settings, settled=False)
    ledger, _ = open_ledger(settings)
    metrics = Metrics()
    recorder = make_recorder(settings, ledger=metrics.counted(ledger), spool=spool)
    intake = make_intake(settings, ledger=recorder, spool=spool)
    reporter = make_reporter(settings, ledger=ledger, spool=spool)
    commitment = make_commitment_scp(settings, ledger=ledger, reporter=reporter, recorder=recorder)
    scp = make_scp(settings, intake=intake, commitment=commitment, metrics=metrics, lost=lambda: None)
    recorder.start()
    scp.start()
    print(scp.port, flush=True)  # noqa: T201
    print(*(scp.process_ids if isinstance(scp, ScpPool) else ()), flush=True)  # noqa: T201
    sys.stdin.read()
    scp.stop()
    recorder.stop()


if __name__ == "__main__":
    receive(Path(sys.argv[1]), {"processes": int(sys.argv[2])} if sys.argv[2:] else {})
