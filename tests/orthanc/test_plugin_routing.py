"""Which series go where: pure, so every case is a line."""

import re
from dataclasses import replace
from datetime import datetime, time

import pytest

from orthanc_plugin.routing import Hours, Result, Route, Rules, Series, destinations, seconds_to_wait, unwanted

MR = Series(
    orthanc_id="a-b", uid="1.2.3", modality="MR", description="T2 TSE tra", manufacturer="SIEMENS", origin_aet="MR1",
    instances=20, stable=True,
)  # fmt: skip
REPORT = replace(MR, modality="SR", description="MR contrast check", manufacturer="mrclip")
T1 = Result(
    contrast="T1", post_contrast=True, flagged=False, score=0.1, reader_digest="ab", report_uid="2.25.1"
)  # fmt: skip


@pytest.mark.parametrize(
    ("series", "rules", "word"),
    [
        (MR, Rules(), None),
        (REPORT, Rules(), "no images"),
        (REPORT, Rules(modalities=("SR", "MR")), "no images"),  # no loop, whatever the rules say
        (replace(REPORT, manufacturer="other"), Rules(modalities=("SR",)), "no images"),
        (replace(MR, modality="CT"), Rules(), "CT"),
        (replace(MR, modality=""), Rules(), "unknown"),
        (replace(MR, modality="PT"), Rules(modalities=("MR", "PT")), None),
        (MR, Rules(description=re.compile("t2", re.IGNORECASE)), None),
        (MR, Rules(description=re.compile("^t1")), "description"),
        (MR, Rules(not_description=re.compile("TSE")), "leave out"),
        (MR, Rules(not_description=re.compile("scout")), None),
        (MR, Rules(origin_aets=("MR1", "MR2")), None),
        (MR, Rules(origin_aets=("MR2",)), "came from MR1"),
        (replace(MR, origin_aet=""), Rules(origin_aets=("MR2",)), "no AE"),
        (MR, Rules(not_origin_aets=("MR1",)), "came from MR1"),
    ],
)
def test_a_series_is_wanted_or_the_reason_is_told(series: Series, rules: Rules, word: str | None) -> None:
    reason = unwanted(series, rules)
    assert reason is None if word is None else word in str(reason)


def test_only_the_nodes_own_reports_are_taken_for_them() -> None:
    assert REPORT.is_report
    assert not any(
        replace(REPORT, **{field: "other"}).is_report for field in ("modality", "description", "manufacturer")
    )


@pytest.mark.parametrize("description", ["MR contrast check, picture", "MR contrast check, flagged"])
def test_what_goes_with_a_report_is_never_sent(description: str) -> None:
    picture = replace(REPORT, modality="OT", description=description)
    assert picture.is_ours
    assert not picture.is_report
    assert unwanted(picture, Rules(modalities=("MR", "OT"))) == "it holds no images to read"
    assert unwanted(replace(picture, manufacturer="SIEMENS"), Rules(modalities=("OT",))) is None


NIGHT = Hours(first=time(20), last=time(6))
NOON = Hours(first=time(12), last=time(13, 30))


@pytest.mark.parametrize(
    ("clock", "hours", "wait_h"),
    [
        ("2026-01-02T15:00", (), 0),
        ("2026-01-02T20:00", (NIGHT,), 0),
        ("2026-01-02T05:59", (NIGHT,), 0),
        ("2026-01-02T06:00", (NIGHT,), 14),
        ("2026-01-02T19:00", (NIGHT,), 1),
        ("2026-01-02T11:00", (NIGHT, NOON), 1),
        ("2026-01-02T13:29", (NOON,), 0),
        ("2026-01-02T13:30", (NOON,), 22.5),
        ("2026-01-02T03:00", (Hours(first=time(8), last=time(8)),), 0),
    ],
)
def test_hours_may_go_over_midnight(clock: str, hours: tuple[Hours, ...], wait_h: float) -> None:
    now = datetime.fromisoformat(clock).astimezone()
    assert seconds_to_wait(now, Rules(hours=hours)) == wait_h * 3600


@pytest.mark.parametrize(
    ("route", "fits"),
    [
        (Route(to="x"), True),
        (Route(to="x", contrasts=("T1", "T2")), True),
        (Route(to="x", contrasts=("T2",)), False),
        (Route(to="x", post_contrast=True), True),
        (Route(to="x", post_contrast=False), False),
        (Route(to="x", flagged=False), True),
        (Route(to="x", flagged=True), False),
        (Route(to="x", contrasts=("T1",), post_contrast=True, flagged=False), True),
        (Route(to="x", contrasts=("T1",), post_contrast=True, flagged=True), False),
    ],
)
def test_a_route_fits_if_all_of_it_does(route: Route, fits: bool) -> None:
    assert route.fits(T1) is fits


def test_an_unknown_answer_fits_no_route_that_asks_for_it() -> None:
    unknown = replace(T1, contrast=None, post_contrast=None)
    assert not Route(to="x", contrasts=("T1",)).fits(unknown)
    assert not Route(to="x", post_contrast=False).fits(unknown)
    assert Route(to="x").fits(unknown)


def test_a_destination_comes_once() -> None:
    routes = (Route(to="a"), Route(to="b", flagged=True), Route(to="a", contrasts=("T1",)), Route(to="c"))
    assert destinations(T1, routes) == ("a", "c")
