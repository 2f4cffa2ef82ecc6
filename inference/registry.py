"""A folder of bundles, and a text file `ACTIVE` that names the one in use.

Bundles lie in it under `<name>-<version>-<first 12 digits of their digest>`. `ACTIVE` is replaced atomically; `HISTORY`
holds the names that were active before, the oldest first. Whoever reads with a bundle keeps it until done: nothing here
changes a bundle.
"""

import fcntl
import re
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inference.atomic import replace_file, staged_folder, write_synced
from inference.bundle import Bundle, open_bundle
from inference.manifest import MANIFEST

_ACTIVE: Final = "ACTIVE"
_HISTORY: Final = "HISTORY"
_LOCK: Final = ".lock"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]*-[0-9a-f]{12}")


class RegistryError(ValueError):
    """The registry does not hold what was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One bundle of a registry, by its folder's name; not opened."""

    name: str
    active: bool


class Registry:
    """Bundles by name; every change is whole or did not happen, also between processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> tuple[Entry, ...]:
        """The bundles, by name."""
        if not self.folder.is_dir():
            return ()
        active = self.active_name()
        names = sorted(path.name for path in self.folder.iterdir() if _is_bundle(path))
        return tuple(Entry(name=name, active=name == active) for name in names)

    def open(self, name: str) -> Bundle:
        """One bundle, checked; RegistryError if there is none of that name, BundleError if it is not whole."""
        return open_bundle(self._path(name))

    def add(self, source: Path) -> str:
        """Copy a bundle in and return its name; one that is here already stays as it is."""
        bundle = open_bundle(source)
        content = bundle.manifest
        name = f"{content.name}-{content.version}-{bundle.sha256[:12]}"
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if not (self.folder / name).exists():
                with staged_folder(self.folder / name) as stage:
                    for file in (*content.files, MANIFEST):
                        write_synced(stage / file, bundle.read(file))
        return name

    def active_name(self) -> str | None:
        """What `ACTIVE` says; None before anything was activated. RegistryError if it holds no bundle's name."""
        try:
            text = (self.folder / _ACTIVE).read_text()
        except FileNotFoundError:
            return None
        return _checked(text.strip())

    def active(self) -> Bundle | None:
        """The active bundle, opened and checked; None before anything was activated."""
        name = self.active_name()
        return None if name is None else self.open(name)

    def activate(self, name: str) -> None:
        """Make a bundle the active one, after checking it; nodes take it up with the next series they read."""
        self.open(name)
        with self._locked():
            before = self.active_name()
            if before is not None and before != name:
                self._remember([*self._history(), before])
            self._point_to(name)

    def roll_back(self) -> str:
        """Go back to the bundle that was active before and return its name; RegistryError if there is none.

        Bundles that are no longer in the folder are passed over.
        """
        with self._locked():
            history = self._history()
            while history:
                name = history.pop()
                if (self.folder / name).is_dir():
                    self.open(name)
                    self._point_to(name)
                    self._remember(history)
                    return name
        raise RegistryError(f"{self.folder} remembers no bundle that was active before")

    def _path(self, name: str) -> Path:
        path = self.folder / _checked(name)
        if not path.is_dir():
            raise RegistryError(f"{self.folder} holds no bundle {name}")
        return path

    def _history(self) -> list[str]:
        try:
            lines = (self.folder / _HISTORY).read_text().splitlines()
        except FileNotFoundError:
            return []
        return [_checked(line) for line in lines]

    def _remember(self, names: Sequence[str]) -> None:
        replace_file(self.folder / _HISTORY, "".join(f"{name}\n" for name in names).encode())

    def _point_to(self, name: str) -> None:
        replace_file(self.folder / _ACTIVE, f"{name}\n".encode())

    @contextmanager
    def _locked(self) -> Generator[None]:
        """One writer at a time, over threads and processes; the kernel lets go if it dies."""
        with (self.folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class ActiveBundle:
    """The active bundle of a registry, opened again only when `ACTIVE` names another: cheap to ask before each series.

    Safe to share between threads.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._lock = threading.Lock()
        self._name: str | None = None
        self._bundle: Bundle | None = None

    def current(self) -> Bundle | None:
        """The bundle to begin the next reading with."""
        with self._lock:
            name = self.registry.active_name()
            if name != self._name:
                self._bundle = None if name is None else self.registry.open(name)
                self._name = name
            return self._bundle


def _checked(name: str) -> str:
    """`name`, if it has the form of a bundle's folder: never a path."""
    if _NAME.fullmatch(name) is None:
        raise RegistryError(f"{name!r} is no bundle name; must be <name>-<version>-<12 hexadecimal digits>")
    return name


def _is_bundle(path: Path) -> bool:
    return _NAME.fullmatch(path.name) is not None and (path / MANIFEST).is_file()
