"""How long a page of the worklist takes in a ledger of a million series, over HTTP, for every filter."""

import sqlite3
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import sample  # noqa: F401 - puts the tests' helpers on the path
from web_node import Node, make_site, served

SERIES = 1_000_000
REPEATS = 9
# One in 100 flagged, one in 20 abstained, one in 1000 failed, 40 scanners, one series every half minute.
FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :series)
INSERT INTO series (id, study_uid, series_uid, modality, state, instances, first_at, last_at, token, attempts,
  contrast, score, flagged, status, scanner, gate_distance, reviewed, reader_digest)
SELECT i, '1.2.826.0.1.3680043.8.498.1.' || (i / 5), '1.2.826.0.1.3680043.8.498.2.' || i, 'MR',
  CASE WHEN i % 1000 = 0 THEN 'quarantined' WHEN i > :series - 50 THEN 'receiving' ELSE 'answered' END, 24,
  1738368000000000 + i * 30000000, 1738368000000000 + i * 30000000, 1, 1, 'T2', 0.1, i % 100 = 0,
  CASE WHEN i % 20 = 0 THEN 'abstained' ELSE 'read' END, 'Scanner ' || (i % 40), 0.25, i % 200 = 0, 'ab' FROM n
"""
# What the ledger itself keeps as it takes in readings.
COUNT = """
INSERT INTO scanner_weeks (scanner, week, series, flagged, abstained, measured, distance_sum)
SELECT scanner, (first_at - 345600000000) / 604800000000, COUNT(*), SUM(flagged), SUM(status = 'abstained'),
  COUNT(gate_distance), SUM(gate_distance)
FROM series GROUP BY 1, 2
"""
QUERIES = {
    "/": "everything",
    "/?after=500000": "half way down",
    "/?flagged=true&reviewed=false": "flagged, not judged yet",
    "/?flagged=true&after=20000": "flagged, near the end",
    "/?status=abstained": "abstained",
    "/?state=quarantined": "failed",
    "/?scanner=Scanner+7": "one scanner",
    "/?scanner=Scanner+7&flagged=true": "one scanner, flagged: none in a million",
    "/?since=2025-06-01&until=2025-06-02": "two days",
    "/scanners": "the scanner page",
    "/model": "the model page",
    "/api/v1/series?limit=50&after=500000": "JSON, half way down",
    "/metrics": "figures for Prometheus",
}


def times_of(node: Node, path: str) -> list[float]:
    """How long each request of a page takes, in ms, the first one first."""
    times_ms: list[float] = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        answer = node.get(path)
        times_ms.append((time.perf_counter() - begun) * 1000)
        if answer.status != 200:
            sys.exit(f"{path} answers {answer.status}")
    return times_ms


def main() -> None:
    """Print the section."""
    with TemporaryDirectory() as folder:
        site = make_site(Path(folder))
        with sqlite3.connect(Path(folder, "ledger.sqlite3")) as ledger:
            ledger.execute(FILL, {"series": SERIES})
            ledger.execute(COUNT)
        ledger.close()
        print(f"SQLite, {SERIES:,} series, 50 rows a page, {REPEATS} requests each through the node's web server.\n")
        print("| page | first | median | longest |\n|---|---|---|---|")
        with served(site) as node:
            for path, name in QUERIES.items():
                times_ms = times_of(node, path)
                figures = (times_ms[0], statistics.median(times_ms), max(times_ms))
                print(f"| {name} (`{path}`) | {' | '.join(f'{one:.0f} ms' for one in figures)} |")


if __name__ == "__main__":
    main()
