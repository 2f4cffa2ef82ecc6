"""The page says what the reading says, runs nothing, loads nothing, and looks as it should in a real browser."""

import base64
import hashlib
import re
import subprocess
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from dicom_factory import series
from dicom_node.report.html import PICTURE_EDGE_PX, PICTURES_PER_STACK, page
from dicom_node.report.views import number
from inference.reading import Inconsistency, Reading, SeriesReading
from inference.reasons import Refused
from peers import program
from reading_factory import MODEL, contrast, finding, read_stack, series_reading, unread_stack

FLAGGED = Inconsistency(score=0.99, p_value=0.004, flagged=True)


class Seen(HTMLParser):
    """Tags with their attributes, and the text a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def reading(*all_series: SeriesReading, model: bool = True, refused: tuple[Refused, ...] = ()) -> Reading:
    return Reading(model=MODEL if model else None, alarm_rate=0.01, series=all_series, refused=refused)


def picture(grey: int, rows: int = 40, columns: int = 30) -> npt.NDArray[np.uint8]:
    return np.full((rows, columns), grey, np.uint8)


def decoded(seen: Seen) -> list[npt.NDArray[np.uint8]]:
    sources = [str(attributes["src"]) for attributes in seen.attributes("img")]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    return [np.asarray(Image.open(BytesIO(base64.b64decode(source.partition(",")[2])))) for source in sources]


CLEAN = series_reading(series(2, seed="clean"), [read_stack(contrast=contrast("T1"), claimed_contrast=None)])
WRONG = series_reading(series(2, seed="wrong"), [read_stack(inconsistency=FLAGGED, findings=(finding(),))])


def test_series_that_ask_for_a_person_come_first() -> None:
    words = Seen(page(reading(CLEAN, WRONG), {})).words
    assert "2 series 1 ask for a person" in words
    assert words.index(WRONG.series_instance_uid) < words.index(CLEAN.series_instance_uid)


def test_header_estimate_interval_and_suggestion_are_side_by_side() -> None:
    stack = read_stack(header={"EchoTime_ms": 0.098}, claimed_contrast="T1", findings=(finding(),))
    seen = Seen(page(reading(series_reading(series(1), [stack])), {}))
    assert "T2 97 % PROTON_DENSITY 3 %" in seen.words
    assert "Image shows no contrast agent 91 % · fat suppression 88 % Header says T1" in seen.words
    assert "Echo time ms 0.098 95 80 to 115" in seen.words
    assert "EchoTime (0018,0081) is 0.098 ms" in seen.words
    assert "Suggested: EchoTime (0018,0081) = 98.0" in seen.words
    assert {"class": "number outside"} in seen.attributes("td")


def test_the_header_inside_the_interval_is_not_marked() -> None:
    assert {"class": "number outside"} not in Seen(page(reading(CLEAN, WRONG), {})).attributes("td")


def test_bars_are_as_long_as_their_probability() -> None:
    fills = [bar["width"] for bar in Seen(page(reading(WRONG), {})).attributes("rect") if bar["class"] == "fill"]
    assert fills == ["97.00", "3.00"]


def test_a_stack_that_was_not_read_says_why() -> None:
    words = Seen(page(reading(series_reading(series(1), [unread_stack()]), model=False), {})).words
    assert "Rules only" in words
    assert "abstained: no-model" in words
    assert "No model bundle is active, so only the rules were run." in words


def test_refused_files_are_listed() -> None:
    refused = Refused(path="a/<b>.dcm", code="truncated", message="the file ends before its data set does")
    words = Seen(page(reading(CLEAN, refused=(refused,)), {})).words
    assert "a/<b>.dcm truncated the file ends before its data set does" in words


def test_pictures_are_whole_small_and_those_of_their_stack() -> None:
    pictures = {
        (CLEAN.series_instance_uid, 0): [picture(10), picture(20)],
        (WRONG.series_instance_uid, 0): [picture(99, rows=400, columns=300)],
    }
    shown = decoded(Seen(page(reading(CLEAN, WRONG), pictures)))
    assert [image[0, 0] for image in shown] == [99, 10, 20]  # the flagged series comes first
    assert [image.shape for image in shown] == [(PICTURE_EDGE_PX, PICTURE_EDGE_PX * 3 // 4), (40, 30), (40, 30)]


def test_of_many_pictures_some_are_shown_from_the_first_to_the_last() -> None:
    seen = Seen(page(reading(CLEAN), {(CLEAN.series_instance_uid, 0): [picture(grey) for grey in range(16)]}))
    greys = [int(image[0, 0]) for image in decoded(seen)]
    assert len(greys) == PICTURES_PER_STACK
    assert (greys[0], greys[-1]) == (0, 15)
    assert "8 of the 16 slices that were read" in seen.words


def test_what_a_header_says_cannot_become_markup() -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    stack = read_stack(
        selector={evil: evil},
        header={evil: evil},
        claimed_contrast=evil,
        findings=(finding(message=evil, suggestion=evil, code=evil, attribute=evil),),
    )
    seen = Seen(page(reading(series_reading(series(1), [stack])), {}))
    assert seen.attributes("script") == seen.attributes("img") == []
    assert evil in seen.text


def test_the_page_is_self_contained_and_its_policy_allows_nothing_else() -> None:
    text = page(reading(CLEAN, WRONG), {(CLEAN.series_instance_uid, 0): [picture(1)]})
    seen = Seen(text)
    (policy,) = [meta["content"] for meta in seen.attributes("meta") if "http-equiv" in meta]
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert (
        policy == f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert {"script", "link", "iframe", "object", "form"}.isdisjoint(tag for tag, _ in seen.tags)
    for tag, attributes in seen.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        target = attributes.get("href") or attributes.get("src") or "#"
        assert target.startswith(("#", "data:image/png;")), tag
    assert re.findall(r"(?:https?:)?//[a-z]", re.sub(r"base64,[^\"]*", "", text)) == []


@pytest.mark.peer("chromium")
@pytest.mark.parametrize("width_px", [380, 1200])
def test_a_real_browser_shows_it_without_complaint(width_px: int, tmp_path: Path) -> None:
    stack = read_stack(inconsistency=FLAGGED, findings=(finding(),))
    wrong = series_reading(series(1), [stack])
    grey = picture(200, rows=100, columns=100)
    (tmp_path / "page.html").write_text(page(reading(CLEAN, wrong), {(wrong.series_instance_uid, 0): [grey]}))
    command = [
        program("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--disable-background-networking", "--hide-scrollbars", "--enable-logging=stderr", "--log-level=0",
        f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width_px},1400",
        f"--screenshot={tmp_path / 'page.png'}", (tmp_path / "page.html").as_uri(),
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "CONSOLE" not in run.stderr, run.stderr[-2000:]  # a policy that refuses the style says so there
    shown = np.asarray(Image.open(tmp_path / "page.png").convert("RGB")).reshape(-1, 3)
    colours = {tuple(int(part) for part in colour) for colour in shown}
    assert (246, 247, 249) in colours, "the ground of the style sheet"
    assert (200, 200, 200) in colours, "the picture"
    assert (29, 111, 184) in colours, "a probability bar"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.099, "0.099"), (2.52, "2.52"), (10620.4, "10620"), (8868.7158, "8869"), ("SE", "SE")]
)
def test_numbers_are_written_as_people_write_them(value: float | str, shown: str) -> None:
    assert number(value) == shown
