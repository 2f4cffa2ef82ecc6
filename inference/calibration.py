"""Evidence becomes p-values: conformal, within the class a header claims, and once more for the series as a whole.

*Field.* Among n clean series whose header claims the same, the p-value of evidence s is (1 + #{s_i >= s}) / (n + 1):
under exchangeability at most a share p of clean series gets a p-value of p or less (Vovk 2005, Mondrian conformal
prediction). A class with fewer than `ENOUGH` series borrows from its group, then from all.

*Series.* The smallest field p-value of a series is no p-value itself, and it cannot fall below 1 / (n + 1), which one
in every few clean series reaches. So each field's p-value is continued beyond the largest evidence seen in calibration
by an exponential tail; its negative logarithm is the field's *surprise*. The largest one of a stack counts in units of
what is expected at its distance from what the model knows (`expected`); the series statistic T is the largest of
these over stacks, and the share of clean series with a T at least as large, (1 + #{T_i >= T}) / (N + 1), is the series'
p-value G(T). Each T_i is computed against the other series (leave one out), with the tail's scale and the expectation
the same for all, so T_i and T are exchangeable up to one series in these.
"""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Float64

from inference.expected import EVEN, Expected, expected

SCHEMA: Final = "mrclip.calibration/1"
ENOUGH: Final = 99  # series in a class: below, no p-value of 0.01 is possible
ALL: Final = "all"
_LEAST_SPREAD_NATS: Final = 0.5

Source = Literal["bundle", "site"]
SeriesKind = Literal["simulated", "real", "mixed"]
Level = Literal["class", "group", "all"]


class CalibrationError(ValueError):
    """A calibration is not what it must be, or belongs to another bundle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldScore:
    """The evidence against one field of one header, and whom it is to be compared with."""

    field: str  # of inference.captions
    evidence_nats: float  # log odds; above 0 is against the header
    calibration_class: str  # the contrast the header claims, with "/YES", "/NO" or "/absent" where that matters
    calibration_group: str  # spin-echo, gradient-echo, epi or derived, likewise


@dataclass(frozen=True, kw_only=True, slots=True)
class StackRecord:
    """What calibration needs to know of one clean stack."""

    scores: tuple[FieldScore, ...]
    gate_distance: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Where a calibration comes from."""

    source: Source
    kind: SeriesKind  # of the series: simulated, real, or both
    created: str  # UTC, ISO 8601
    bundle_sha256: str | None  # None inside a bundle: its manifest holds the calibration's digest, not the reverse


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The evidence of n clean series, the largest of each, in ascending order."""

    nats: tuple[float, ...]

    @cached_property
    def _sorted(self) -> Float64[np.ndarray, " n"]:
        return np.array(self.nats, np.float64)

    @cached_property
    def spread_nats(self) -> float:
        """The scale of an exponential tail: its 90th percentile lies ln 5 scales above its median."""
        median, high = np.quantile(self._sorted, (0.5, 0.9))
        return max(float(high - median) / math.log(5), _LEAST_SPREAD_NATS)

    def p_value(self, nats: float) -> float:
        """(1 + #{s_i >= s}) / (n + 1)."""
        return (1 + self._at_least(nats)) / (len(self.nats) + 1)

    def surprise(self, nats: float) -> float:
        """-ln of the p-value, continued beyond the largest evidence by the exponential tail."""
        excess = max(nats - self.nats[-1], 0.0)
        return -math.log(self.p_value(nats)) + excess / self.spread_nats

    def surprise_of_member(self, nats: float) -> float:
        """The surprise of evidence of one of the n, the largest it has or less, against the others.

        Its denominator is left as it is for a new series.
        """
        others = self._at_least(nats) - 1
        excess = nats - self.nats[-2] if others == 0 and len(self.nats) > 1 else 0.0
        return -math.log((1 + others) / (len(self.nats) + 1)) + excess / self.spread_nats

    def _at_least(self, nats: float) -> int:
        return len(self.nats) - int(np.searchsorted(self._sorted, nats, side="left"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What calibration makes of one field's evidence."""

    p_value: float
    surprise_nats: float
    level: Level  # whom the evidence was compared with


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Clean series to compare with; made by `fit`, kept as JSON."""

    provenance: Provenance
    references: Mapping[str, Mapping[str, Reference]]  # by field, then by class, group or all
    surprises_nats: tuple[float, ...]  # the largest relative one of each series, ascending; 0 where it had no evidence
    gate_distance: float | None = None  # farther from the reference embeddings is out of domain
    expected: Expected = EVEN  # what surprises are relative to

    def verdict(self, score: FieldScore) -> Verdict | None:
        """p-value and surprise of one field; None where no clean series had evidence on it."""
        found = _level(score, self.references.get(score.field, {}))
        if found is None:
            return None
        level, reference = found
        nats = score.evidence_nats
        return Verdict(p_value=reference.p_value(nats), surprise_nats=reference.surprise(nats), level=level)

    def p_value(self, surprise_nats: float, distance: float | None = None) -> float:
        """G: the share of clean series whose largest relative surprise is at least this stack's, (1 + #) / (N + 1)."""
        return self._series.p_value(self.expected.relative(surprise_nats, distance))

    def score(self, surprise_nats: float, distance: float | None = None) -> float:
        """1 - G, continued beyond the most surprising clean series so that it still tells two surprises apart."""
        return -math.expm1(-self._series.surprise(self.expected.relative(surprise_nats, distance)))

    @cached_property
    def _series(self) -> Reference:
        return Reference(nats=self.surprises_nats)

    @cached_property
    def sha256(self) -> str:
        """The digest of its JSON, an ingredient of the reader digest."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def to_json(self) -> bytes:
        """The bytes of `calibration.json`; the same calibration gives the same bytes."""
        document = {
            "schema": SCHEMA,
            **asdict(self.provenance),
            "series": len(self.surprises_nats),
            "fields": {
                field: {key: {"n": len(found.nats), "nats": found.nats} for key, found in sorted(references.items())}
                for field, references in sorted(self.references.items())
            },
            "surprises_nats": self.surprises_nats,
            "gate_distance": self.gate_distance,
            "expected": asdict(self.expected),
        }
        return (json.dumps(document, separators=(",", ":")) + "\n").encode()


def fit(
    series: Sequence[Sequence[StackRecord]], provenance: Provenance, *, gate_rate: float | None = None
) -> Calibration:
    """Calibrate on clean series, each the records of its stacks.

    With `gate_rate` the gate is set so that about that share of clean stacks is out of domain; what lies beyond it
    gives no evidence, neither here nor later. CalibrationError for no series.
    """
    if not series:
        raise CalibrationError("no clean series to calibrate on")
    threshold = None if gate_rate is None else _gate_distance(series, gate_rate)
    inside = [[stack for stack in stacks if _is_inside(stack, threshold)] for stacks in series]
    worst = [_worst(score for stack in stacks for score in stack.scores) for stacks in inside]
    pools: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for of_series in worst:
        for (field, key), nats in of_series.items():
            pools[field][key].append(nats)
    references = {
        field: {key: Reference(nats=tuple(sorted(found))) for key, found in keys.items()}
        for field, keys in pools.items()
    }
    surprises = [[(_largest_surprise(stack, references), stack.gate_distance) for stack in stacks] for stacks in inside]
    scale = _expected([found for stacks in surprises for found in stacks])
    largest = [max((scale.relative(*found) for found in stacks), default=0.0) for stacks in surprises]
    return Calibration(
        provenance=provenance,
        references=references,
        surprises_nats=tuple(sorted(largest)),
        gate_distance=threshold,
        expected=scale,
    )


def read_calibration(document: bytes) -> Calibration:
    """`calibration.json`, parsed; CalibrationError says what is wrong with it."""
    try:
        content: dict[str, Any] = json.loads(document)
        if content["schema"] != SCHEMA:
            raise CalibrationError(f"schema is {content['schema']!r}; must be {SCHEMA}")
        calibration = Calibration(
            provenance=Provenance(**{name: content[name] for name in Provenance.__slots__}),
            references={
                field: {key: Reference(nats=_ascending(found["nats"])) for key, found in keys.items()}
                for field, keys in content["fields"].items()
            },
            surprises_nats=_ascending(content["surprises_nats"]),
            gate_distance=content["gate_distance"],
            expected=Expected(**content["expected"]) if "expected" in content else EVEN,
        )
    except CalibrationError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CalibrationError(f"not a calibration of schema {SCHEMA}: {error!r}") from error
    return calibration


def _ascending(values: list[float]) -> tuple[float, ...]:
    numbers = np.array(values, np.float64)
    if numbers.ndim != 1 or not numbers.size or not np.isfinite(numbers).all() or (np.diff(numbers) < 0).any():
        raise CalibrationError("scores must be finite numbers in ascending order, at least one")
    return tuple(numbers.tolist())


def _keys(score: FieldScore) -> tuple[tuple[Level, str], ...]:
    """Where to look for series to compare with, the closest first."""
    _, slash, suffix = score.calibration_class.partition("/")
    return (("class", score.calibration_class), ("group", score.calibration_group), ("all", ALL + slash + suffix))


def _level(score: FieldScore, references: Mapping[str, Reference]) -> tuple[Level, Reference] | None:
    for level, key in _keys(score):
        reference = references.get(key)
        if reference is not None and (level == "all" or len(reference.nats) >= ENOUGH):
            return level, reference
    return None


def _is_inside(stack: StackRecord, threshold: float | None) -> bool:
    """Whether the gate lets a stack through."""
    return threshold is None or stack.gate_distance is None or stack.gate_distance <= threshold


def _worst(scores: Iterable[FieldScore]) -> dict[tuple[str, str], float]:
    """The largest evidence of one series by field and by class, group and all."""
    worst: dict[tuple[str, str], float] = {}
    for score in scores:
        for _, key in _keys(score):
            place = (score.field, key)
            worst[place] = max(worst.get(place, -math.inf), score.evidence_nats)
    return worst


def _largest_surprise(stack: StackRecord, references: Mapping[str, Mapping[str, Reference]]) -> float:
    """The largest surprise of a stack of one calibration series against the other series; 0 without evidence."""
    largest = 0.0
    for score in stack.scores:
        found = _level(score, references[score.field])
        if found is not None:
            largest = max(largest, found[1].surprise_of_member(score.evidence_nats))
    return largest


def _expected(stacks: Sequence[tuple[float, float | None]]) -> Expected:
    """What is expected at each distance; the same everywhere where too few stacks tell."""
    known = [(surprise, distance) for surprise, distance in stacks if distance is not None]
    if len(known) < ENOUGH:
        return EVEN
    return expected([surprise for surprise, _ in known], [distance for _, distance in known])


def _gate_distance(series: Sequence[Sequence[StackRecord]], rate: float) -> float | None:
    """The distance that about the share `rate` of clean stacks exceeds; None if none was measured."""
    distances = sorted(stack.gate_distance for stacks in series for stack in stacks if stack.gate_distance is not None)
    if not distances:
        return None
    rank = math.ceil((len(distances) + 1) * (1 - rate))
    return distances[min(rank, len(distances)) - 1]
