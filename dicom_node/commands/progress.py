"""How long work shows that it goes on."""

import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import click
from rich.console import Console
from rich.progress import Progress, TaskID, TextColumn

Advance = Callable[[str, int], None]
_LINE_EVERY_S: Final = 30.0


@contextmanager
def progress() -> Generator[Advance]:
    """A live count on a terminal, a plain line now and then elsewhere; always on standard error."""
    console = Console(stderr=True)
    with _live(console) if console.is_terminal else _lines() as advance:
        yield advance


@contextmanager
def _live(console: Console) -> Generator[Advance]:
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed}"))
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def advance(phase: str, count: int) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=None)
            bar.advance(tasks[phase], count)

        yield advance


@contextmanager
def _lines() -> Generator[Advance]:
    counts: Counter[str] = Counter()
    said_at = time.monotonic()

    def advance(phase: str, count: int) -> None:
        nonlocal said_at
        counts[phase] += count
        if time.monotonic() - said_at > _LINE_EVERY_S:
            said_at = time.monotonic()
            click.echo(f"{phase}: {counts[phase]}", err=True)

    yield advance
