"""A node's web part on a free port, over a ledger and a spool in a folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from web_node import Node, Site, make_site, served


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An empty site."""
    return make_site(tmp_path)


@pytest.fixture
def node(site: Site) -> Iterator[Node]:
    """The site, served."""
    with served(site) as node:
        yield node
