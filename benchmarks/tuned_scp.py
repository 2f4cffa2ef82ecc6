"""This node's receiving part in one process, with other choices than its own: `tuned_scp.py FOLDER CHOICES`.

CHOICES is a JSON object: `pdu_bytes` that it accepts, `nagle`, `ahead_bytes` that it reads at once, `syncs`.
"""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import sample

sys.path.insert(1, str(sample.ROOT / "tests" / "node"))

from receiving_process import receive

from dicom_node.receive import buffered


def without_no_delay(self: socket.socket, level: int, option: int, value: Any) -> None:
    """`setsockopt` that leaves Nagle's algorithm on."""
    if (level, option) != (socket.IPPROTO_TCP, socket.TCP_NODELAY):
        super(socket.socket, self).setsockopt(level, option, value)


def main(root: Path, choices: dict[str, Any]) -> None:
    """Receive until killed."""
    if choices.get("nagle"):
        socket.socket.setsockopt = without_no_delay  # pyright: ignore[reportAttributeAccessIssue]
    if "ahead_bytes" in choices:
        buffered._AHEAD_BYTES = choices["ahead_bytes"]  # pyright: ignore  # noqa: SLF001
    if not choices.get("syncs", True):
        os.fsync = lambda fd: None
    receive(root, {"max_pdu_bytes": choices.get("pdu_bytes", 131072)})


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
