"""Calibration made from clean series: what evidence they have, and how surprising each is among the others.

Each series is compared with the others as a new one would be, the scale of tails and the expectation the same for all,
so that its statistic and that of a new one are exchangeable up to one series in these. One image under several headers
is several series; what is left out of the comparison then is the image, with all of them.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from inference.calibration import (
    ENOUGH,
    Calibration,
    CalibrationError,
    FieldScore,
    Provenance,
    Reference,
    References,
    StackRecord,
    closest,
    keys,
    mean_surprise,
)
from inference.expected import EVEN, Expected, expected

Series = Sequence[StackRecord]  # the records of its stacks
Image = Sequence[Series]  # the same image under one or several headers

_Place = tuple[str, str]  # field; class, group or all


@dataclass(frozen=True, kw_only=True, slots=True)
class _Population:
    """Clean series of one kind, and what each image of them has in their references."""

    images: Sequence[Image]
    references: References
    own: Sequence[Mapping[_Place, Sequence[float]]]  # by image


def fit(series: Sequence[Series], provenance: Provenance, *, gate_rate: float | None = None) -> Calibration:
    """Calibrate on clean series, each of an image of its own.

    With `gate_rate` the gate is set so that about that share of clean stacks is out of domain; what lies beyond it
    gives no evidence, neither here nor later. CalibrationError for no series.
    """
    threshold = None if gate_rate is None else _gate_distance(series, gate_rate)
    inside = [[stack for stack in stacks if _is_inside(stack, threshold)] for stacks in series]
    return fit_populations([[[stacks] for stacks in inside]], provenance, gate_distance=threshold)


def fit_populations(
    populations: Sequence[Sequence[Image]], provenance: Provenance, *, gate_distance: float | None = None
) -> Calibration:
    """Calibrate on clean series of one or several populations, all inside the gate.

    Populations without a series are left out; CalibrationError where none has any.
    """
    known = [_population(images) for images in populations if any(images)]
    if not known:
        raise CalibrationError("no clean series to calibrate on")
    surprises = [
        [(_largest_surprise(stack, own, population, known), stack.gate_distance) for stack in stacks]
        for population in known
        for image, own in zip(population.images, population.own, strict=True)
        for stacks in image
    ]
    scale = _expected([found for stacks in surprises for found in stacks])
    largest = [max((scale.relative(*found) for found in stacks), default=0.0) for stacks in surprises]
    return Calibration(
        provenance=provenance,
        populations=tuple(population.references for population in known),
        surprises_nats=tuple(sorted(largest)),
        gate_distance=gate_distance,
        expected=scale,
    )


def _population(images: Sequence[Image]) -> _Population:
    pools: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    own: list[dict[_Place, list[float]]] = []
    for image in images:
        of_image: dict[_Place, list[float]] = defaultdict(list)
        for stacks in image:
            for (field, key), nats in _worst(score for stack in stacks for score in stack.scores).items():
                pools[field][key].append(nats)
                of_image[field, key].append(nats)
        own.append(of_image)
    references = {
        field: {key: Reference(nats=tuple(sorted(found))) for key, found in of_field.items()}
        for field, of_field in pools.items()
    }
    return _Population(images=images, references=references, own=own)


def _worst(scores: Iterable[FieldScore]) -> dict[_Place, float]:
    """The largest evidence of one series by field and by class, group and all."""
    worst: dict[_Place, float] = {}
    for score in scores:
        for _, key in keys(score):
            place = (score.field, key)
            worst[place] = max(worst.get(place, -math.inf), score.evidence_nats)
    return worst


def _largest_surprise(
    stack: StackRecord, own: Mapping[_Place, Sequence[float]], its: _Population, known: Sequence[_Population]
) -> float:
    """The largest surprise of a stack of one calibration series against the other images; 0 without evidence."""
    largest = 0.0
    for score in stack.scores:
        found: list[float] = []
        for population in known:
            place = closest(score, population.references)
            if place is not None and population is its:
                mine = own.get((score.field, place.key), ())
                found.append(place.reference.surprise_of_member(score.evidence_nats, mine))
            elif place is not None:
                found.append(place.reference.surprise(score.evidence_nats))
        largest = max(largest, mean_surprise(found))  # its own population holds it, so something was found
    return largest


def _is_inside(stack: StackRecord, threshold: float | None) -> bool:
    """Whether the gate lets a stack through."""
    return threshold is None or stack.gate_distance is None or stack.gate_distance <= threshold


def _expected(stacks: Sequence[tuple[float, float | None]]) -> Expected:
    """What is expected at each distance; the same everywhere where too few stacks tell."""
    known = [(surprise, distance) for surprise, distance in stacks if distance is not None]
    if len(known) < ENOUGH:
        return EVEN
    return expected([surprise for surprise, _ in known], [distance for _, distance in known])


def _gate_distance(series: Sequence[Series], rate: float) -> float | None:
    """The distance that about the share `rate` of clean stacks exceeds; None if none was measured."""
    distances = sorted(stack.gate_distance for stacks in series for stack in stacks if stack.gate_distance is not None)
    if not distances:
        return None
    rank = math.ceil((len(distances) + 1) * (1 - rate))
    return distances[min(rank, len(distances)) - 1]
