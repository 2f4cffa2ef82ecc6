"""The pages that look at many series at once: scanners over time, and the model with what people said to it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, get_args

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from dicom_node.errors import NodeError
from dicom_node.ledger.records import ScannerWeek, Verdict
from dicom_node.web.access import Admin, needs
from dicom_node.web.look import TheLook
from dicom_node.web.site import Site, TheSite
from dicom_node.work.readers import READER_ERRORS
from inference.manifest import MODEL_CARD
from inference.read import Reader

router = APIRouter(include_in_schema=False, dependencies=[Depends(needs("viewer"))])

WEEKS: Final = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One week of a trend: its height in percent of the tallest, and its value in words."""

    height: float
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """One figure of one scanner: over all weeks, and week by week; None where nothing was counted."""

    total: str
    bars: Sequence[Bar | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScannerView:
    """One scanner as the page shows it."""

    name: str
    series: Trend
    flagged: Trend
    abstained: Trend
    distance: Trend | None  # None: no model measured any


@router.get("/scanners")
def scanners(site: TheSite, look: TheLook) -> HTMLResponse:
    """Flags, abstentions and the distance to what the model knows, by scanner and week."""
    now = site.clock()
    weeks = site.ledger.scanner_weeks(_first_monday(now))
    by_scanner: defaultdict[str, list[ScannerWeek]] = defaultdict(list)
    for week in weeks:
        by_scanner[week.scanner].append(week)
    shown = [_scanner(name, found, now) for name, found in by_scanner.items()]
    return look.page("scanners.html", scanners=shown, weeks=WEEKS)


@router.get("/model")
def model(site: TheSite, look: TheLook) -> HTMLResponse:
    """What reads, on what its alarms are calibrated, what read before, and what people said."""
    reader, problem = _reader(site)
    loaded = None if reader is None else reader.model
    verdicts = site.ledger.verdicts()
    return look.page(
        "model.html",
        reader=reader,
        problem=problem,
        manifest=None if loaded is None else loaded.bundle.manifest,
        card=None if loaded is None else loaded.bundle.read(MODEL_CARD).decode(errors="replace"),
        subjects=sorted({subject for subject, _ in verdicts}),
        verdicts=verdicts,
        kinds=get_args(Verdict),
        uses=site.ledger.reader_uses(_first_monday(site.clock())),
        weeks=WEEKS,
        bundles=() if site.registry is None else site.registry.entries(),
    )


@router.get("/accounts")
def accounts(site: TheSite, look: TheLook, _person: Admin) -> HTMLResponse:
    """Who may sign in, and which programs have a token."""
    return look.page("accounts.html", content=site.accounts.content())


def _reader(site: Site) -> tuple[Reader | None, str | None]:
    try:
        return site.reader(), None
    except (NodeError, *READER_ERRORS) as error:
        return None, str(error)


def _first_monday(now: datetime) -> datetime:
    """When the first of the weeks began that are shown."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=now.weekday(), weeks=WEEKS - 1)


def _scanner(name: str, found: Iterable[ScannerWeek], now: datetime) -> ScannerView:
    by_monday = {week.monday: week for week in found}
    first = _first_monday(now).date()
    weeks = [by_monday.get(first + timedelta(weeks=number)) for number in range(WEEKS)]
    series = sum(week.series for week in weeks if week is not None)
    return ScannerView(
        name=name,
        series=_trend(weeks, lambda week: week.series, str(series), str),
        flagged=_share(weeks, lambda week: week.flagged, series),
        abstained=_share(weeks, lambda week: week.abstained, series),
        distance=_distance(weeks),
    )


def _distance(weeks: Sequence[ScannerWeek | None]) -> Trend | None:
    """The mean distance, over all by how many series there were."""
    measured = [
        (week.gate_distance, week.series) for week in weeks if week is not None and week.gate_distance is not None
    ]
    if not measured:
        return None
    mean = sum(distance * series for distance, series in measured) / sum(series for _, series in measured)
    return _trend(weeks, lambda week: week.gate_distance, f"{mean:.3g}", "{:.3g}".format)


def _share(weeks: Sequence[ScannerWeek | None], count: Callable[[ScannerWeek], int], series: int) -> Trend:
    """A count as its share of the series."""
    total = sum(count(week) for week in weeks if week is not None)
    return _trend(weeks, lambda week: count(week) / week.series, f"{total / series:.0%}", "{:.0%}".format)


def _trend(
    weeks: Sequence[ScannerWeek | None],
    value: Callable[[ScannerWeek], float | None],
    total: str,
    words: Callable[[float], str],
) -> Trend:
    values = [None if week is None else value(week) for week in weeks]
    tallest = max((one for one in values if one is not None), default=0) or 1.0
    bars = [None if one is None else Bar(height=100 * one / tallest, words=words(one)) for one in values]
    return Trend(total=total, bars=bars)
