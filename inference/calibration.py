"""Evidence becomes p-values: conformal, within the class a header claims, and once more for the series as a whole.

*Field.* Among n clean series whose header claims the same, the p-value of evidence s is (1 + #{s_i >= s}) / (n + 1):
under exchangeability at most a share p of clean series gets a p-value of p or less (Vovk 2005, Mondrian conformal
prediction). A class with fewer than `ENOUGH` series borrows from its group, then from all. Where clean series are of
more than one population (simulated and real ones, of which there are never as many), the p-value is the mean of one
from each: that of a series that may as well come from any of them, however many each has.

*Series.* The smallest field p-value of a series is no p-value itself, and it cannot fall below 1 / (n + 1), which one
in every few clean series reaches. So each field's p-value is continued beyond the largest evidence seen in calibration
by an exponential tail; its negative logarithm is the field's *surprise*. The largest one of a stack counts in units of
what is expected at its distance from what the model knows (`expected`); the series statistic T is the largest of
these over stacks, and the share of clean series with a T at least as large, (1 + #{T_i >= T}) / (N + 1), is the series'
p-value G(T). `inference.calibration_fit` makes all of it from clean series.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Float64

from inference.expected import EVEN, Expected

SCHEMA: Final = "mrclip.calibration/1"
ENOUGH: Final = 99  # series in a class: below, no p-value of 0.01 is possible
ALL: Final = "all"
_LEAST_SPREAD_NATS: Final = 0.5

Source = Literal["bundle", "site"]
SeriesKind = Literal["simulated", "real", "mixed"]
Level = Literal["class", "group", "all"]
_LEVELS: Final[tuple[Level, ...]] = ("class", "group", "all")  # the closest first


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

    def surprise_of_member(self, nats: float, own: Sequence[float]) -> float:
        """The surprise of evidence of one of the n against that of other images; `own` is what its own has among the n.

        Its denominator is left as it is for a new series.
        """
        others = self._at_least(nats) - sum(value >= nats for value in own)
        largest = None if others else self._largest_but(own)
        excess = 0.0 if largest is None else nats - largest
        return -math.log((1 + others) / (len(self.nats) + 1)) + excess / self.spread_nats

    def _largest_but(self, own: Sequence[float]) -> float | None:
        """The largest evidence that is not of `own`; None where all is."""
        left = sorted(own)
        for value in reversed(self.nats):
            if not left or left[-1] != value:
                return value
            left.pop()
        return None

    def _at_least(self, nats: float) -> int:
        return len(self.nats) - int(np.searchsorted(self._sorted, nats, side="left"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What calibration makes of one field's evidence."""

    p_value: float
    surprise_nats: float
    level: Level  # whom the evidence was compared with


References = Mapping[str, Mapping[str, Reference]]  # by field, then by class, group or all


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Clean series to compare with; made by `calibration_fit.fit`, kept as JSON."""

    provenance: Provenance
    populations: tuple[References, ...]  # of clean series, each of the same weight in a field's p-value
    surprises_nats: tuple[float, ...]  # the largest relative one of each series, ascending; 0 where it had no evidence
    gate_distance: float | None = None  # farther from the reference embeddings is out of domain
    expected: Expected = EVEN  # what surprises are relative to

    def verdict(self, score: FieldScore) -> Verdict | None:
        """p-value and surprise of one field; None where no clean series had evidence on it."""
        found = [one for references in self.populations if (one := closest(score, references)) is not None]
        if not found:
            return None
        nats = score.evidence_nats
        return Verdict(
            p_value=sum(one.reference.p_value(nats) for one in found) / len(found),
            surprise_nats=mean_surprise([one.reference.surprise(nats) for one in found]),
            level=_LEVELS[max(_LEVELS.index(one.level) for one in found)],
        )

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
        populations = [_as_json(references) for references in self.populations]
        document = {
            "schema": SCHEMA,
            **asdict(self.provenance),
            "series": len(self.surprises_nats),
            **({"populations": populations} if len(populations) > 1 else populations[0]),
            "surprises_nats": self.surprises_nats,
            "gate_distance": self.gate_distance,
            "expected": asdict(self.expected),
        }
        return (json.dumps(document, separators=(",", ":")) + "\n").encode()


def _as_json(references: References) -> dict[str, Any]:
    return {
        "fields": {
            field: {key: {"n": len(found.nats), "nats": found.nats} for key, found in sorted(of_field.items())}
            for field, of_field in sorted(references.items())
        }
    }


def read_calibration(document: bytes) -> Calibration:
    """`calibration.json`, parsed; CalibrationError says what is wrong with it."""
    try:
        content: dict[str, Any] = json.loads(document)
        if content["schema"] != SCHEMA:
            raise CalibrationError(f"schema is {content['schema']!r}; must be {SCHEMA}")
        calibration = Calibration(
            provenance=Provenance(**{name: content[name] for name in Provenance.__slots__}),
            populations=tuple(_references(one["fields"]) for one in content.get("populations", [content])),
            surprises_nats=_ascending(content["surprises_nats"]),
            gate_distance=content["gate_distance"],
            expected=Expected(**content["expected"]) if "expected" in content else EVEN,
        )
        if not calibration.populations:
            raise CalibrationError("a calibration needs at least one population of clean series")
    except CalibrationError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CalibrationError(f"not a calibration of schema {SCHEMA}: {error!r}") from error
    return calibration


def _references(fields: Mapping[str, Mapping[str, Any]]) -> References:
    return {
        field: {key: Reference(nats=_ascending(found["nats"])) for key, found in keys.items()}
        for field, keys in fields.items()
    }


def _ascending(values: list[float]) -> tuple[float, ...]:
    numbers = np.array(values, np.float64)
    if numbers.ndim != 1 or not numbers.size or not np.isfinite(numbers).all() or (np.diff(numbers) < 0).any():
        raise CalibrationError("scores must be finite numbers in ascending order, at least one")
    return tuple(numbers.tolist())


def keys(score: FieldScore) -> tuple[tuple[Level, str], ...]:
    """Where to look for series to compare with, the closest first."""
    _, slash, suffix = score.calibration_class.partition("/")
    return (("class", score.calibration_class), ("group", score.calibration_group), ("all", ALL + slash + suffix))


@dataclass(frozen=True, kw_only=True, slots=True)
class Closest:
    """The series of one population that a score is compared with."""

    level: Level
    key: str
    reference: Reference


def closest(score: FieldScore, references: References) -> Closest | None:
    """The class of a score, or what it borrows from; None where no clean series had evidence on its field."""
    of_field = references.get(score.field, {})
    for level, key in keys(score):
        reference = of_field.get(key)
        if reference is not None and (level == "all" or len(reference.nats) >= ENOUGH):
            return Closest(level=level, key=key, reference=reference)
    return None


def mean_surprise(surprises_nats: Sequence[float]) -> float:
    """-ln of the mean of the p-values whose surprises these are."""
    least = min(surprises_nats)
    return least - math.log(sum(math.exp(least - one) for one in surprises_nats) / len(surprises_nats))
