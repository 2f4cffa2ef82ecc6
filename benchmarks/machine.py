"""The machine a figure was measured on, and how series of figures are summed up."""

import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path


def describe() -> str:
    """Processor, cores, memory, Python and date in one line."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.now(UTC).date().isoformat()}, {model}, {len(os.sched_getaffinity(0))} cores, "
        f"{memory_gib:.0f} GiB, Python {platform.python_version()}"
    )


def middle(values: Sequence[float]) -> str:
    """Median and range of some seconds, in milliseconds."""
    low, median, high = (1000 * f(values) for f in (min, statistics.median, max))
    return f"{median:.0f} ms ({low:.0f} to {high:.0f}, n={len(values)})"
