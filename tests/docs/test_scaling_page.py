"""The tables of docs/scaling.md are arithmetic from measured figures, which a person can do again."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SETUP = {"series_per_s": 10.0, "received_per_s": 400, "half_ms": 900, "p95_ms": 1800}
FIGURES = {
    "machine": "a machine", "cores": 2, "slices": 24, "series_bytes": 3_000_000,
    "parts_ms": {"encode 16 slices": 75.0, "delivery by C-STORE": 25.0},
    "setups": {"2 workers, Redis, PostgreSQL": SETUP},
}  # fmt: skip


def rewritten(folder: Path, page: str) -> subprocess.CompletedProcess[str]:
    (folder / "figures.json").write_text(json.dumps(FIGURES))
    (folder / "page.md").write_text(page)
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "scaling.py"),
        str(folder / "figures.json"),
        str(folder / "page.md"),
    ]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_the_tables_are_computed_from_the_figures(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert rewritten(tmp_path, page).returncode == 0
    made = (tmp_path / "page.md").read_text()
    assert "| encode 16 slices | 75 | 75 % |" in made
    # 10 series/s on 2 cores are 5 a core; 10^5 a day are 1.157 a second and 4.63 in the peak: 4.63 / (5 * 0.7) cores;
    # at 3 MB each 300 GB a day, 3.47 MB/s.
    assert "| 10^5 | 1.2 | 4.6 | 1.3 | 1 | 300 GB | 3.5 MB/s |" in made
    # 10^7: 463 / 3.5 = 132.3 cores in 9 machines of 16.
    assert "| 10^7 | 116 | 463 | 132 | 9 | 30000 GB | 347 MB/s |" in made
    assert made.count("<!-- /machines -->") == 1
    assert "## What gives way first" in made


def test_a_page_without_a_place_for_them_is_left_alone(tmp_path: Path) -> None:
    asked = rewritten(tmp_path, "# A page\n")
    assert asked.returncode == 1
    assert "no place for costs" in asked.stderr
    assert (tmp_path / "page.md").read_text() == "# A page\n"
