"""The figures of a benchmark."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from training.benchmark.observe import Observed, Outcome
from training.benchmark.shares import auroc, auroc_interval, share


def contrast_figures(stacks: Sequence[Outcome]) -> dict[str, Any]:
    """Accuracy by series among the counted, where it was answered; abstentions; a confusion table."""
    by_series: dict[str, list[Outcome]] = defaultdict(list)
    for one in stacks:
        if one.truth.counted:
            by_series[one.series_uid].append(one)
    answered = [[one for one in group if one.answer] for group in by_series.values()]
    right = [all(one.right for one in group) for group in answered if group]
    confusion: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for group in by_series.values():
        for one in group:
            confusion[one.truth.label][one.answer or f"({one.reason})"] += 1
    return {
        "series": len(by_series),
        "right": share(right).to_json(),
        "right_text": str(share(right)),
        "abstained": share([not group for group in answered]).to_json(),
        "abstained_text": str(share([not group for group in answered])),
        "confusion": {label: dict(row) for label, row in sorted(confusion.items())},
    }


_STRATA: Final[Mapping[str, Callable[[Outcome], str]]] = {
    "body": lambda one: one.truth.body,
    "vendor": lambda one: one.vendor,
    "field": lambda one: f"{one.field_t or 0:.1f} T",
    "object": lambda one: one.truth.thing,
    "class": lambda one: one.truth.label,
}
_TIMES: Final = {"EchoTime_ms": "EchoTime", "RepetitionTime_ms": "RepetitionTime", "InversionTime_ms": "InversionTime"}
_THRESHOLDS: Final = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def figures(observed: Observed, alarm_rate: float) -> dict[str, Any]:
    """All figures but those of corruptions."""
    stacks, people = observed.stacks, [one for one in observed.stacks if one.truth.readable]
    strange = [one for one in stacks if not one.truth.readable]
    clean = [alarm for alarm in observed.alarms if alarm.truth.readable and alarm.truth.clean]
    by: dict[str, dict[str, Any]] = {}
    for name, key in _STRATA.items():
        groups: dict[str, list[Outcome]] = defaultdict(list)
        for one in people:
            groups[key(one)].append(one)
        by[name] = {value: contrast_figures(group) for value, group in sorted(groups.items())}
    return {
        "contrast": contrast_figures(people),
        "by": by,
        "abstention_curve": abstention_curve(people),
        "plane": str(share([one.plane == one.truth.plane for one in people if one.truth.plane])),
        "estimates": estimate_errors([one for one in people if one.truth.clean]),
        "strange_not_read": str(share([one.status != "read" for one in strange])),
        "strange": [{"series": one.truth.series, "label": one.truth.label, "answer": one.answer} for one in strange],
        "alarm_rate": alarm_rate,
        "flagged": str(share([alarm.flagged for alarm in clean])),
        "flagged_series": [
            {"series": a.truth.series, "p_value": a.p_value, "by_rules": a.by_rules, "codes": a.codes}
            for a in clean
            if a.flagged
        ],
        "p_at_most_5_percent": str(share([a.p_value <= 0.05 for a in clean if a.p_value is not None])),
        "agent_auroc": _answer_auroc(people, "post_contrast", only="T1"),
        "fat_suppression_auroc": _answer_auroc(people, "fat_suppressed", only=None),
        "not_counted": [
            {"series": one.truth.series, "label": one.truth.label, "answer": one.answer or one.reason}
            for one in people
            if not one.truth.counted
        ],
        "wrong": [
            {"series": one.truth.series, "label": one.truth.label, "answer": one.answer, "probability": one.probability}
            for one in people
            if one.truth.counted and one.answer and not one.right
        ],
    }


def abstention_curve(stacks: Sequence[Outcome]) -> list[dict[str, float]]:
    """Of the counted stacks: how many a threshold of the probability would answer, and how many of these rightly."""
    counted = [one for one in stacks if one.truth.counted]
    curve: list[dict[str, float]] = []
    for least in _THRESHOLDS:
        answered = [one for one in counted if one.guess is not None and one.guess_probability >= least]
        right = sum(one.guess in one.truth.accepted for one in answered)
        curve.append({"probability": least, "stacks": len(counted), "answered": len(answered), "right": right})
    return curve


def estimate_errors(stacks: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Of stacks that were read and whose header has the time: the median factor between estimate and header, and the
    share of headers inside the stated interval."""
    errors: dict[str, dict[str, float]] = {}
    for key, name in _TIMES.items():
        pairs = [
            (float(recorded), estimate)
            for one in stacks
            if (estimate := one.estimates.get(key)) and isinstance(recorded := one.recorded.get(key), float | int)
            if recorded > 0 and estimate.value > 0
        ]
        if pairs:
            factors = [float(np.exp(abs(np.log(estimate.value / recorded)))) for recorded, estimate in pairs]
            errors[name] = {
                "stacks": len(pairs),
                "median_factor": float(np.median(factors)),
                "ninth_decile_factor": float(np.quantile(factors, 0.9)),
                "stated_coverage": pairs[0][1].coverage,
                "observed_coverage": sum(e.low <= recorded <= e.high for recorded, e in pairs) / len(pairs),
            }
    return errors


def _answer_auroc(stacks: Sequence[Outcome], field: str, *, only: str | None) -> dict[str, Any]:
    scores: dict[bool, list[float]] = {False: [], True: []}
    series: dict[bool, list[str]] = {False: [], True: []}
    for one in stacks:
        known, found = getattr(one.truth, field), getattr(one, field)
        if known is not None and found is not None and (only is None or only in one.truth.accepted):
            scores[known].append(found)
            series[known].append(one.series_uid)
    no, yes = scores[False], scores[True]
    interval = auroc_interval(no, yes, of=(series[False], series[True]))
    return {"no": len(no), "yes": len(yes), "auroc": auroc(no, yes), "interval": interval}
