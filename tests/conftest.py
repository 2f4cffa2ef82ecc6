"""Fixtures and rules every test shares."""

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Two files run at a time, beside processes of their own: how long an example takes says nothing about the code.
hypothesis.settings.register_profile("mrclip", deadline=None)
hypothesis.settings.load_profile("mrclip")

SHARED = Path(os.environ.get("MRCLIP_SHARED", Path(__file__).parents[2] / "shared")).resolve()
PEERS_REQUIRED = os.environ.get("MRCLIP_PEERS") == "required"
# pynetdicom installs programs in our own environment that are named as DCMTK's are; Debian keeps the programs of
# servers out of an ordinary user's PATH.
OURS = str(Path(sys.prefix) / "bin")
SEARCH = os.pathsep.join(
    [
        *(folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder != OURS),
        "/usr/sbin",
        *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"))),
    ]
)


def missing_peers(item: pytest.Item) -> list[str]:
    """The programs that the test's `peer` markers name and this machine lacks."""
    names = [str(name) for marker in item.iter_markers("peer") for name in marker.args]
    return [name for name in names if shutil.which(name, path=SEARCH) is None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what this machine cannot run, unless it was said that it must."""
    for item in items:
        if item.get_closest_marker("peer") and not any(m.args for m in item.iter_markers("peer")):
            raise pytest.UsageError(f"{item.nodeid}: the `peer` marker must name its programs")
        if item.get_closest_marker("shared_data") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"shared data is not at {SHARED}"))
        if not PEERS_REQUIRED and (missing := missing_peers(item)):
            item.add_marker(pytest.mark.skip(reason=f"missing: {', '.join(missing)} (make peers, as root)"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Where peers are required, a missing one is a failure with its name."""
    if missing := missing_peers(item):
        pytest.fail(f"missing peers: {', '.join(missing)}; run `make peers` as root", pytrace=False)


@pytest.fixture(autouse=True)
def levels_stay() -> Iterator[None]:
    """What a command or a worker in this process makes of the levels of loggers ends with its test."""
    loggers = [logging.getLogger(name) for name in ("", "dicom_node", "inference", "training")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data that is not part of the project."""
    return SHARED
