"""Run every benchmark and write docs/benchmarks.md: one section a claim, with the machine and the date above it.

python benchmarks/run.py [NAME ...]     without names all of them; with names only those sections are made anew
"""

import re
import subprocess
import sys
from pathlib import Path

from machine import describe

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
# In the order of the page; a script prints the body of its section in Markdown.
SECTIONS = {
    "read_start": "One series, from interpreter start to JSON",
    "read_folder": "A folder of series, warm",
    "slices": "Fewer slices where the answer is clear",
    "report_size": "A report on a large series",
    "ingest": "Receiving, against storescp and Orthanc",
    "ingest_choices": "Receiving: choices, and where the time goes",
    "ledger_growth": "One more instance, and what is due, in a ledger of a million series",
    "worklist": "A page of the worklist out of a million series",
    "end_to_end": "From the last C-STORE to the accepted report",
    "chaos": "Killed at random",
    "faults": "Killed, cut off, filled up and lied to: what is lost or doubled",
    "power_cut": "Cut off by the power while it receives",
    "training_throughput": "Training against open_clip's own loop",
}
HEAD = """# Benchmarks

Each section was printed by `benchmarks/<name>.py` in one run on one machine (`make bench`); what is compared was
measured in that run. Shared machines are noisy: trust ratios more than milliseconds.
"""


def sections(page: str) -> dict[str, str]:
    """The sections of the page by script name."""
    found = re.findall(r"^## .*?\n<!-- (\w+) -->\n(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE)
    return {name: body.strip() for name, body in found}


def main(names: list[str]) -> None:
    """Make the sections `names` anew (all where none is named) and write the page."""
    unknown = set(names) - set(SECTIONS)
    if unknown:
        sys.exit(f"no benchmark is named {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    bodies = sections(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
    failed: list[str] = []
    for name in names or SECTIONS:
        print(f"benchmarks/{name}.py", file=sys.stderr, flush=True)
        run = subprocess.run([sys.executable, HERE / f"{name}.py"], check=False, stdout=subprocess.PIPE, text=True)
        if run.returncode:
            failed.append(name)
        else:
            bodies[name] = f"{describe()}\n\n{run.stdout.strip()}"
    parts = [f"## {title}\n<!-- {name} -->\n{bodies[name]}\n" for name, title in SECTIONS.items() if name in bodies]
    PAGE.write_text("\n".join([HEAD, *parts]), encoding="utf-8")
    if failed:
        sys.exit(f"failed, and the page keeps what it said before: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
