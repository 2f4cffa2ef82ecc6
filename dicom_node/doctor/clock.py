"""The clock of this machine against those of the servers it works with."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from dicom_node.doctor import Check, broken, ok, warning

_NOTICED_S: Final = 5.0
_ADVICE: Final = "Set the clocks of all machines by NTP (chrony or systemd-timesyncd); see `timedatectl`."


def check_clock(
    ahead_s: Mapping[str, float], lease_s: float, synchronised: Callable[[], bool | None]
) -> Iterator[Check]:
    """`ahead_s`: how far this clock is ahead of that of each server that was asked.

    Leases are times: a difference of half a lease makes two machines do the same work.
    """
    for server, seconds in ahead_s.items():
        if abs(seconds) > lease_s / 2:
            yield broken("clock", f"{_difference(seconds)} of {server}; work is leased for {lease_s:.0f} s", _ADVICE)
        elif abs(seconds) > _NOTICED_S:
            yield warning("clock", f"{_difference(seconds)} of {server}", _ADVICE)
        else:
            yield ok("clock", f"agrees with that of {server}")
    if synchronised() is False:
        yield warning("clock", "it is not synchronised with any other", _ADVICE)
    elif not ahead_s:
        yield ok("clock", "nothing says that it is wrong")


def is_synchronised() -> bool | None:
    """What systemd says of NTP; None where it says nothing, as in a container."""
    program = shutil.which("timedatectl")
    if program is None:
        return None
    command = [program, "show", "--property=NTPSynchronized", "--value"]
    try:
        said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=5)  # noqa: S603 - ours
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(said.stdout.strip())


def _difference(seconds: float) -> str:
    return f"{abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}"
