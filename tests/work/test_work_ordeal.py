"""Workers and broker are killed at random while series go through: each ends with exactly one report."""

from pathlib import Path

import pytest

from ordeal import BLOWS, undergo
from postgres_server import postgres

SERIES = 40


@pytest.mark.peer("redis-server", "initdb", "postgres", "storescp", "dcmsend")
def test_every_series_ends_with_exactly_one_report_whatever_is_killed(tmp_path: Path) -> None:
    with postgres() as database_url:
        ordeal = undergo(tmp_path, database_url, count=SERIES, blows=2 * len(BLOWS), seed=6)
    assert ordeal.blows == dict.fromkeys(BLOWS, 2)
    assert ordeal.claims > SERIES  # readings were cut off, and begun again
    ordeal.check()
