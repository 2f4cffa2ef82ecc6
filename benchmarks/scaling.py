"""From what `end_to_end.py` measured to how many machines that means: writes the tables of docs/scaling.md.

python benchmarks/scaling.py        after `python benchmarks/run.py end_to_end`; commit figures and page together
"""

import json
import math
import re
import sys
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
FIGURES: Final = HERE / "figures" / "end_to_end.json"
PAGE: Final = HERE.parent / "docs" / "scaling.md"
DAY_S: Final = 86400
PEAK: Final = 4  # times the average
BUSY: Final = 0.7  # share of a core that is planned to be used in the peak
DAYS: Final = (10**3, 10**5, 10**7)  # series a day
NODE_SWEEPS: Final = 64  # readings that one sweep gives out, a second by default
WORKERS: Final = "2 workers, Redis, PostgreSQL"


def costs(figures: dict[str, Any]) -> str:
    """What a series costs."""
    parts: dict[str, float] = figures["parts_ms"]
    whole = sum(parts.values())
    lines = [f"{figures['machine']}; {figures['slices']} slices of 256 x 256, 16 of them encoded.", ""]
    lines += ["| part of one series, called directly | ms | share |", "|---|---|---|"]
    lines += [f"| {part} | {ms:.0f} | {100 * ms / whole:.0f} % |" for part, ms in parts.items()]
    lines += [f"| all | {whole:.0f} | 100 % |", ""]
    lines += ["| | series/s in a burst | last instance to accepted report: half | 95 % |", "|---|---|---|---|"]
    for name, one in figures["setups"].items():
        lines.append(f"| {name} | {one['series_per_s']:.1f} | {one['half_ms']} ms | {one['p95_ms']} ms |")
    largest = max(parts, key=lambda part: parts[part])
    lines += ["", f"The largest part is *{largest}*: {100 * parts[largest] / whole:.0f} % of the functions' time."]
    return "\n".join(lines)


def machines(figures: dict[str, Any]) -> str:
    """What that means for so many series a day."""
    cores, rate = int(figures["cores"]), float(figures["setups"][WORKERS]["series_per_s"])
    a_core = rate / cores
    measured = f"**{rate:.1f} series/s on {cores} cores** ({WORKERS}, node, sender and destination on the same cores)"
    planned = f"planned for a peak of {PEAK} times the average at {100 * BUSY:.0f} % of the cores"
    lines = [f"{measured}: {a_core:.2f} series/s a core. Arithmetic from that, {planned}:", ""]
    lines += [
        "| series a day | a second, on average | in the peak | cores | machines of 16 cores | a day | on average |"
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    for count in DAYS:
        average = count / DAY_S
        needed = PEAK * average / (a_core * BUSY)
        size = count * int(figures["series_bytes"])
        lines.append(
            f"| 10^{round(math.log10(count))} | {figure(average)} | {figure(PEAK * average)} | {figure(needed)} "
            f"| {math.ceil(needed / 16)} | {figure(size / 1e9)} GB | {figure(size / 1e6 / DAY_S)} MB/s |"
        )
    most = NODE_SWEEPS * DAY_S / PEAK
    handed = f"One sweep hands out at most {NODE_SWEEPS} readings, and there is one a second"
    lines += ["", f"{handed}: in a peak of {PEAK} times the average that is {most / 1e6:.1f} million a day."]
    return "\n".join(lines)


def figure(value: float) -> str:
    """Two digits that count, or all before the point."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def written(page: str, name: str, body: str) -> str:
    """`page` with `body` between its two marks of that name."""
    made, count = re.subn(
        rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
        lambda found: found[1] + body + "\n" + found[2],
        page,
        flags=re.DOTALL,
    )
    if count != 1:
        sys.exit(f"the page has no place for {name}")
    return made


def main(figures: Path, page: Path) -> None:
    """Write the page anew."""
    if not figures.exists():
        sys.exit(f"{figures} is not there: run benchmarks/end_to_end.py first")
    found = json.loads(figures.read_text(encoding="utf-8"))
    text = page.read_text(encoding="utf-8")
    text = written(written(text, "costs", costs(found)), "machines", machines(found))
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*(map(Path, sys.argv[1:]) if sys.argv[1:] else (FIGURES, PAGE)))
