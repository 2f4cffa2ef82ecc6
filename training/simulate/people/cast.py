"""Who is scanned: a pool of anatomies that changes slowly, each one following from seed and number alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch

from training.simulate.people.anatomy import Anatomy, stripped
from training.simulate.people.bodies import REGIONS, body, qa_object
from training.simulate.people.head import (
    HeadLabels,
    drawn_head,
    head_from_labels,
    label_files,
    mni152_head,
    read_labels,
)

HEAD: Final = "head"
_KINDS: Final = (HEAD, "body", "object")


@dataclass(frozen=True, kw_only=True)
class CastSpec:
    """How large the pool is and how fast it changes."""

    heads: int = 12
    bodies: int = 24
    objects: int = 4  # test objects, of which no label is true
    lifetime_steps: int = 400  # after so many steps a place in the pool is filled anew
    stripped_share: float = 0.14  # of the places of heads


@dataclass
class Cast:
    """A pool with places. Who stands in a place at a step depends on seed and step, not on what was asked before."""

    seed: int
    labels: Sequence[Path]  # head label maps; empty: MNI152
    spec: CastSpec
    device: torch.device
    drawn_only: bool = False  # heads that need no data, for tests
    _known: dict[tuple[str, int], tuple[int, Anatomy]] = field(default_factory=dict)
    _maps: dict[Path, HeadLabels] = field(default_factory=dict)

    def head(self, place: int, step: int) -> Anatomy:
        """The head in a place."""
        return self._in_place(HEAD, place, step, self.spec.heads)

    def body(self, place: int, step: int) -> Anatomy:
        """The body in a place; the places share the regions between them."""
        return self._in_place("body", place, step, self.spec.bodies)

    def test_object(self, place: int, step: int) -> Anatomy:
        """The test object in a place."""
        return self._in_place("object", place, step, self.spec.objects)

    def _in_place(self, kind: str, place: int, step: int, places: int) -> Anatomy:
        life = self.spec.lifetime_steps
        generation = (step + place * life // places) // life
        known = self._known.get((kind, place))
        if known is not None and known[0] == generation:
            return known[1]
        rng = np.random.default_rng([self.seed, _KINDS.index(kind), place, generation])
        if kind == HEAD:
            made = self._new_head(place + generation * places, rng)
        else:
            made = self._new_body(rng) if kind == "body" else qa_object(rng)
        made = made.to(self.device)
        self._known[kind, place] = (generation, made)
        return made

    def _new_head(self, number: int, rng: np.random.Generator) -> Anatomy:
        if self.drawn_only:
            head = drawn_head(rng)
        elif not self.labels:
            head = mni152_head(rng)
        else:
            path = self.labels[number % len(self.labels)]
            if path not in self._maps:
                self._maps[path] = read_labels(path)
            head = head_from_labels(self._maps[path], rng)
        return stripped(head) if rng.random() < self.spec.stripped_share else head

    def _new_body(self, rng: np.random.Generator) -> Anatomy:
        names = list(REGIONS)
        shares = np.array([REGIONS[name].share for name in names])
        return body(names[int(rng.choice(len(names), p=shares / shares.sum()))], rng)


def training_labels(folder: Path | None, leave_out: Sequence[str]) -> list[Path]:
    """The label maps of a folder without those whose stem is in `leave_out`; none without a folder."""
    return [] if folder is None else [p for p in label_files(folder) if p.name.split(".")[0] not in leave_out]
