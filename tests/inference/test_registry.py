"""The registry: which bundle is active, what was active before, and what a reader sees of a change."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from inference.manifest import BundleError
from inference.registry import ActiveBundle, Entry, Registry, RegistryError
from tiny_bundle import blank


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture
def names(registry: Registry, tmp_path: Path) -> list[str]:
    return [registry.add(blank(tmp_path / version, version=version).folder) for version in ("1.0", "1.1", "1.2")]


def test_a_bundle_is_copied_in_under_name_version_and_digest(registry: Registry, tmp_path: Path) -> None:
    bundle = blank(tmp_path / "made", name="head", version="2.0")
    name = registry.add(bundle.folder)
    assert name == f"head-2.0-{bundle.sha256[:12]}"
    assert registry.open(name).sha256 == bundle.sha256
    assert registry.add(bundle.folder) == name  # again is harmless
    assert registry.entries() == (Entry(name=name, active=False),)


def test_an_empty_registry_has_nothing_active(registry: Registry) -> None:
    assert (registry.entries(), registry.active_name(), registry.active()) == ((), None, None)


def test_a_broken_bundle_is_not_added(registry: Registry, tmp_path: Path) -> None:
    bundle = blank(tmp_path / "made")
    (bundle.folder / "MODEL_CARD.md").write_text("changed")
    with pytest.raises(BundleError):
        registry.add(bundle.folder)
    assert registry.entries() == ()


def test_activating_and_rolling_back_is_a_stack(registry: Registry, names: list[str]) -> None:
    first, second, third = names
    for name in (first, second, second, third):
        registry.activate(name)
    assert registry.entries()[2] == Entry(name=third, active=True)
    assert (registry.folder / "ACTIVE").read_text() == f"{third}\n"
    assert registry.roll_back() == second
    assert registry.roll_back() == first
    with pytest.raises(RegistryError, match="no bundle that was active before"):
        registry.roll_back()
    assert registry.active_name() == first


def test_rolling_back_passes_over_what_is_gone(registry: Registry, names: list[str]) -> None:
    first, second, third = names
    for name in (first, second, third):
        registry.activate(name)
    for file in (registry.folder / second).iterdir():
        file.unlink()
    (registry.folder / second).rmdir()
    assert registry.roll_back() == first


@pytest.mark.parametrize("name", ["../elsewhere", "a/b-000000000000", "ACTIVE", "", "toy-1.0", "toy-1.0-00000000000G"])
def test_a_name_that_is_no_bundle_name_is_refused(registry: Registry, names: list[str], name: str) -> None:
    with pytest.raises(RegistryError, match="is no bundle name"):
        registry.activate(name)
    assert registry.active_name() is None


def test_a_bundle_that_is_not_there_or_not_whole_is_not_activated(registry: Registry, names: list[str]) -> None:
    with pytest.raises(RegistryError, match="holds no bundle"):
        registry.activate("toy-9.9-000000000000")
    (registry.folder / names[0] / "MODEL_CARD.md").write_text("changed")
    with pytest.raises(BundleError, match=r"MODEL_CARD.md"):
        registry.activate(names[0])
    assert registry.active_name() is None


def test_an_active_file_that_was_tampered_with_is_named(registry: Registry, names: list[str]) -> None:
    (registry.folder / "ACTIVE").write_text("../../etc\n")
    with pytest.raises(RegistryError, match=r"'../../etc' is no bundle name"):
        registry.active()


def test_a_reader_sees_a_change_and_keeps_what_it_began_with(registry: Registry, names: list[str]) -> None:
    active = ActiveBundle(registry)
    assert active.current() is None
    registry.activate(names[0])
    begun = active.current()
    assert begun is not None
    registry.activate(names[1])
    assert active.current() is not begun
    assert begun.read("MODEL_CARD.md")  # still whole
    registry.roll_back()
    assert active.current() == begun


def test_asking_again_opens_nothing(registry: Registry, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    registry.activate(names[0])
    active = ActiveBundle(registry)
    first = active.current()
    monkeypatch.setattr(registry, "open", lambda name: pytest.fail(f"opened {name} again"))
    assert active.current() is first


def test_writers_at_once_leave_one_active_and_a_history_that_adds_up(registry: Registry, names: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(registry.activate, names * 4))
    chain = [registry.active_name()]
    while (registry.folder / "HISTORY").read_text():
        chain.append(registry.roll_back())
    assert set(chain) == set(names)
    assert all(earlier != later for earlier, later in pairwise(chain))
    assert [path.name for path in registry.folder.iterdir() if path.name.endswith(".part")] == []
