"""A node is killed while it receives, reads and delivers: nothing acknowledged is lost, and nothing comes twice."""

import gc
from pathlib import Path

import pytest

from killing import PHASES, undergo


# pynetdicom leaves sockets of associations that ended early to the garbage collector, which closes them and says so.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
def test_nothing_acknowledged_is_lost_or_doubled_when_a_node_is_killed(tmp_path: Path) -> None:
    deaths = undergo(tmp_path, kills=len(PHASES), seed=5)
    assert deaths.kills == dict.fromkeys(PHASES, 1)
    assert deaths.acknowledged > 0
    deaths.check()
    gc.collect()
