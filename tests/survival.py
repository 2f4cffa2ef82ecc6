"""A node as its users run it under mutants: whether it lives, what it made of each, and what that took in memory."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicom_node.receive.quarantine import Quarantine
from mutants import Toll, bombard
from scripted_peer import associated
from serving import Served, serve, write_settings

MEMORY_BYTES: Final = 512 << 20  # that the node may take at its peak while it is sent mutants
_ANSWERS: Final = {"0000", "A900", "C000"}
_SILENCE: Final = "nothing for a minute"


@dataclass(frozen=True, kw_only=True)
class Survival:
    """What came out."""

    toll: Toll
    reasons: Counter[str]  # of what is in quarantine, numbers and UIDs left out
    aside: int  # data sets that came under the UID of another one
    series: Counter[str]  # by state
    unexplained: int  # in quarantine, or given up, without a reason
    tracebacks: int  # in the log
    peak_bytes: int

    def check(self) -> None:
        """Everything was answered, what was refused has its reason, and the node is whole."""
        assert self.toll.statuses.keys() <= _ANSWERS, self.toll.statuses
        assert _SILENCE not in self.toll.ends
        assert self.tracebacks == self.unexplained == 0
        assert self.series.keys() <= {"answered", "quarantined"}, self.series
        assert self.peak_bytes < MEMORY_BYTES


def survive(folder: Path, *, data_sets: int, pdus: int, seed: int) -> Survival:
    """Send so many mutants of each kind to a node, and wait until it has read what it took of them."""
    config = write_settings(folder, work={"reading_max_attempts": 1})
    with serve(config) as node:
        toll = bombard(node.ports["dicom"], data_sets=data_sets, pdus=pdus, seed=seed)
        associated(node.ports["dicom"]).close()  # it is there for others
        node.wait_until_answered(len(node.states()), 600)
        peak_bytes = _peak_bytes(node)
        states = node.query("SELECT state, reason FROM series")
        assert node.stop() == 0
    spool = folder / "data" / "spool"
    reasons = [entry.reason for entry in Quarantine(spool).entries()]
    given_up = [reason for state, reason in states if state == "quarantined"]
    return Survival(
        toll=toll,
        reasons=Counter(_general(reason) for reason in reasons),
        aside=len(list((spool / "conflicts").glob("*.dcm"))),
        series=Counter(str(state) for state, _ in states),
        unexplained=sum(not reason for reason in (*reasons, *given_up)),
        tracebacks=node.log.read_text().count("Traceback"),
        peak_bytes=peak_bytes,
    )


def _general(reason: str) -> str:
    return re.sub(r"is [0-9.]+; the request says [0-9.]+", "is not that of the request", reason)


def _peak_bytes(node: Served) -> int:
    """The most memory that the node's process ever had (proc(5), VmHWM)."""
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
