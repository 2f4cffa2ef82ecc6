"""Fixtures and rules every test shares."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("MRCLIP_SHARED", Path(__file__).parents[2] / "shared")).resolve()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out tests on shared data where there is none; it lies beside the checkout, not in it."""
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("shared_data"):
            item.add_marker(pytest.mark.skip(reason=f"shared data is not at {SHARED}"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data that is not part of the project."""
    return SHARED
