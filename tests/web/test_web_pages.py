"""The pages: what they say, what they link to, and what their forms need."""

import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode

import jinja2
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from dicom_factory import enhanced_mr, series, uid
from dicom_node.web.pictures import TILE_PX
from dicom_node.web.site import secret
from dicom_node.work.files import SpoolFiles
from dicom_node.work.pipeline import Pipeline, WorkPolicy
from inference.identifiers import SopInstanceUid
from inference.read import Reader
from inference.reading import EncodedImage, Inconsistency
from inference.reasons import Reason
from reading_factory import contrast, finding, read_stack, unread_stack
from web_node import NOW, Answer, Node, images

FLAGGED = Inconsistency(score=0.99, p_value=0.004, flagged=True)


class Seen(HTMLParser):
    """Tags with their attributes, and the text a reader sees."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def all(self, tag: str, attribute: str) -> list[str]:
        return [str(attributes[attribute]) for name, attributes in self.tags if name == tag and attribute in attributes]


def page(node: Node, path: str) -> Seen:
    answer = node.get(path)
    assert answer.status == 200
    return Seen(answer)


def listed(seen: Seen) -> list[str]:
    return [link.removeprefix("/series/") for link in seen.all("a", "href") if link.startswith("/series/")]


def shown_in(answer: Answer) -> np.ndarray:
    assert answer.status == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(BytesIO(answer.body)))


def session(node: Node, series: str) -> tuple[dict[str, str], str]:
    """The cookie and the token that the page of a series gives."""
    answer = node.get(f"/series/{series}")
    cookie = answer.headers["set-cookie"]
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()
    token = re.search(r'name="csrf" value="([^"]+)"', answer.text)
    assert token is not None
    return {"Cookie": cookie.partition(";")[0], "Content-Type": "application/x-www-form-urlencoded"}, token[1]


def test_an_empty_worklist_says_so(node: Node) -> None:
    assert "No series was received yet." in page(node, "/").words


def test_the_worklist_shows_the_newest_first_and_links_to_each(node: Node) -> None:
    flagged = images(seed="flagged")
    node.read(flagged, [read_stack(flagged, inconsistency=FLAGGED)])
    node.receive(images(1, seed="new"))
    seen = page(node, "/")
    assert listed(seen) == [uid("series", "new"), uid("series", "flagged")]
    assert "please check" in seen.words
    assert "waiting to be read" in seen.words


def test_the_worklist_filters_as_its_form_sends(node: Node) -> None:
    flagged = images(seed="flagged")
    node.read(flagged, [read_stack(flagged, inconsistency=FLAGGED)])
    node.receive(images(1, seed="new"))
    assert listed(page(node, "/?flagged=&state=")) == [uid("series", "new"), uid("series", "flagged")]
    assert listed(page(node, "/?flagged=true&state=")) == [uid("series", "flagged")]
    assert listed(page(node, "/?flagged=&state=receiving")) == [uid("series", "new")]
    seen = page(node, "/?flagged=true&state=receiving")
    assert "No series like this." in seen.words
    assert ("option", {"value": "receiving", "selected": None}) in seen.tags
    assert ("option", {"value": "true", "selected": None}) in seen.tags


def test_the_worklist_goes_on_by_key_and_keeps_its_filter(node: Node) -> None:
    uids = [node.receive(images(1, seed=seed)) for seed in range(60)][::-1]
    first = page(node, "/?state=receiving")
    (following,) = (link for link in first.all("a", "href") if "after=" in link)
    second = page(node, following)
    assert listed(first) + listed(second) == uids
    assert "/?state=receiving" in second.all("a", "href")
    assert not [link for link in second.all("a", "href") if "after=" in link]


def test_a_wrong_filter_is_a_page_that_names_it(node: Node) -> None:
    answer = node.get("/?state=gone")
    assert answer.status == 422
    assert "State: Input should be" in Seen(answer).words


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("until=9999-12-31", "Until: Value error, must be before 9999-12-31"),
        ("since=9999-12-31", "Since: Value error, must be before 9999-12-31"),
        ("scanner=%00", "Scanner: Value error, must be at most 128 printable characters"),
        ("scanner=Prisma%0A", "Scanner: Value error, must be at most 128 printable characters"),
        (f"scanner={'a' * 129}", "Scanner: Value error, must be at most 128 printable characters"),
    ],
)
def test_a_filter_that_fits_no_ledger_is_a_page_that_names_it(node: Node, query: str, named: str) -> None:
    answer = node.get(f"/?{query}")
    assert answer.status == 422
    assert named in Seen(answer).words


@pytest.mark.parametrize("query", ["since=0001-01-01", "until=9999-12-30", "scanner=%C3%A4+%E6%97%A5", "scanner=%FF"])
def test_a_filter_at_the_end_of_what_there_is_finds_nothing(node: Node, query: str) -> None:
    assert node.get(f"/?{query}").status == 200


def test_an_unknown_series_is_a_page(node: Node) -> None:
    answer = node.get("/series/1.2.3")
    assert answer.status == 404
    assert "No series 1.2.3 was received." in Seen(answer).words


def test_a_series_shows_what_was_read(node: Node) -> None:
    shown = images()
    header = {"EchoTime_ms": 0.098, "RepetitionTime_ms": 4000.0}
    stacks = [
        read_stack(
            shown,
            inconsistency=FLAGGED,
            findings=(finding(),),
            header=header,
            contrast=contrast("T2", 0.97),
            claimed_contrast="T1",
        ),
        unread_stack(index=1),
    ]
    reading = node.read(shown, stacks)
    seen = page(node, f"/series/{reading.series_instance_uid}")
    for words in (
        "please check", "T2", "97 %", "Header says T1", "80 to 115", "0.098", "Suggested: EchoTime (0018,0081) = 98.0",
        "0.098 reads like seconds", "abstained: no-model", "pacs", "waiting", "2026-01-02 03:04 UTC",
    ):  # fmt: skip
        assert words in seen.words, words
    assert f"/series/{reading.series_instance_uid}/stacks/0.png" in seen.all("img", "src")
    assert not seen.all("tag", "style")
    assert "<script" not in node.get(f"/series/{reading.series_instance_uid}").text


@pytest.mark.parametrize(
    ("claimed", "described", "kept", "said"),
    [
        ("T1", None, True, 'Header says <b class="outside">T1</b>'),  # by Image Type, say
        ("T2", "T1", True, "Header says <b>T2</b>"),
        (None, None, True, "Header names no contrast"),
        ("T1", "T1", False, 'Description says <b class="outside">T1</b>'),
        ("T1", None, False, "Description names no contrast"),
        ("T1", "UNKNOWN", False, "Description names no contrast"),
    ],
)
def test_a_series_shows_what_its_header_claims_by_all_it_says(
    node: Node, claimed: str | None, described: str | None, kept: bool, said: str
) -> None:
    shown = images()
    stack = read_stack(shown, claimed_contrast=claimed, header={"SeriesDescription_contrast": described})
    before = {} if kept else {"claims": None}  # as a ledger of an earlier version has it
    reading = node.read(shown, [stack], **before)
    assert said in node.get(f"/series/{reading.series_instance_uid}").text


def test_page_and_report_of_one_reading_name_the_same_claim(node: Node) -> None:
    shown = series(2, ImageType=["ORIGINAL", "PRIMARY", "P", "ND"], SeriesDescription="gre")
    node.keep(shown)
    policy = WorkPolicy(owner="w", lease_s=60, retry_s=1, retry_max_s=1, delivery_max_attempts=1, send="all")
    pipeline = Pipeline(
        ledger=node.ledger, files=SpoolFiles(node.site.spool), reader=lambda: Reader(model=None), destinations={},
        policy=policy, clock=lambda: NOW,
    )  # fmt: skip
    uid = node.receive(shown)
    pipeline.read(uid)
    assert "Header says PHASE" in page(node, f"/series/{uid}").words
    record = node.ledger.series(uid)
    assert record is not None
    report = dcmread(node.site.spool.report_path(record.reports[-1].sop_instance_uid))
    items = [item for element in report.iterall() if element.VR == "SQ" for item in element.value]
    named = [item for item in items if "ConceptNameCodeSequence" in item and "ConceptCodeSequence" in item]
    claims = [item for item in named if item.ConceptNameCodeSequence[0].CodeValue == "CLAIMED_CONTRAST"]
    assert [item.ConceptCodeSequence[0].CodeValue for item in claims] == ["PHASE"]


def test_a_series_that_waits_or_failed_says_so(node: Node) -> None:
    series = node.receive(images())
    assert "Not read yet" in page(node, f"/series/{series}").words
    for _ in range(5):
        node.ledger.fail(node.claim(series), "UnreadableSeriesError while reading", now=NOW, retry_at=NOW)
    seen = page(node, f"/series/{series}")
    assert "failed" in seen.words
    assert "UnreadableSeriesError while reading." in seen.words


def test_a_series_that_grew_says_so(node: Node) -> None:
    shown = images(3)
    reading = node.read(shown[:2])
    node.receive(shown[2:])
    assert "read from 2 instances" in page(node, f"/series/{reading.series_instance_uid}").words


def test_what_a_header_says_cannot_become_markup(node: Node) -> None:
    shown = images()
    evil = finding(message="<script>alert(1)</script>", recorded="<b>", suggestion="<img src=x>")
    reading = node.read(shown, [read_stack(shown, findings=(evil,), header={"EchoTime_ms": "<i>1</i>"})])
    text = node.get(f"/series/{reading.series_instance_uid}").text
    assert "&lt;script&gt;" in text
    assert not re.search(r"<script|<img src=x|<i>1", text)


def test_the_montage_shows_the_images_that_were_read_and_no_other(node: Node) -> None:
    shown = images(5)
    for index, image in enumerate(shown):
        image.PixelData = np.full((64, 64), 100 + 200 * index, np.uint16).tobytes()
        pixels = np.frombuffer(image.PixelData, np.uint16).reshape(64, 64).copy()
        pixels[:32] = 0
        image.PixelData = pixels.tobytes()
    node.keep(shown)
    reading = node.read(shown, [read_stack(shown[1:4])])
    canvas = shown_in(node.get(f"/series/{reading.series_instance_uid}/stacks/0.png"))
    assert canvas.shape == (TILE_PX, 3 * TILE_PX + 4)
    lower = [int(canvas[TILE_PX * 3 // 4, index * (TILE_PX + 2) + TILE_PX // 2]) for index in range(3)]
    # Grey values 300, 500 and 700 in one window from 0 to 700.
    assert lower == [109, 182, 255]
    assert canvas[TILE_PX // 4].max() == 0


def test_the_montage_of_a_multi_frame_image_shows_its_frames(node: Node) -> None:
    pixels = np.zeros((6, 64, 64), np.uint16)
    pixels[:, 32:] = np.arange(100, 700, 100)[:, np.newaxis, np.newaxis]
    image = enhanced_mr(6, pixels=pixels)
    node.keep([image])
    frames = tuple(
        EncodedImage(sop_instance_uid=SopInstanceUid(image.SOPInstanceUID), frame=k) for k in (6, 2, 3, 1, 5)
    )
    reading = node.read([image], [read_stack(images=frames)])
    canvas = shown_in(node.get(f"/series/{reading.series_instance_uid}/stacks/0.png"))
    assert canvas.shape == (2 * TILE_PX + 2, 4 * TILE_PX + 6)
    lower = [int(canvas[TILE_PX * 3 // 4, index * (TILE_PX + 2) + TILE_PX // 2]) for index in range(4)]
    assert lower == [255, 85, 128, 42]  # grey values 600, 200, 300 and 100 in one window from 0 to 600
    assert canvas[-TILE_PX:, TILE_PX:].max() == 0, "the second row holds one image"


def test_a_stack_that_no_model_saw_is_shown_all_the_same(node: Node) -> None:
    shown = images(3)
    node.keep(shown)
    reading = node.read(shown, [unread_stack(slices=3)])
    path = f"/series/{reading.series_instance_uid}/stacks/0.png"
    assert path in page(node, f"/series/{reading.series_instance_uid}").all("img", "src")
    assert shown_in(node.get(path)).shape[0] == TILE_PX


@pytest.mark.parametrize("case", ["gone", "grown", "frame", "broken"])
def test_a_picture_that_cannot_be_made_says_why(node: Node, case: str) -> None:
    shown = images(2)
    stack = read_stack(shown)
    if case == "grown":
        stack = unread_stack(slices=9)
    if case == "frame":
        stack = read_stack(images=(EncodedImage(sop_instance_uid=SopInstanceUid(shown[0].SOPInstanceUID), frame=2),))
    if case == "broken":
        for image in shown:
            image.PixelData = image.PixelData[:100]
    if case != "gone":
        node.keep(shown)
    reading = node.read(shown, [stack])
    answer = node.get(f"/series/{reading.series_instance_uid}/stacks/0.png")
    assert answer.status == 404
    words = {
        "gone": "not in the spool any more",
        "grown": "has grown",
        "frame": "not what they were",
        "broken": "cannot be shown: broken-pixels",
    }
    assert words[case] in Seen(answer).words


def test_a_stack_without_an_image_has_no_picture(node: Node) -> None:
    shown = images()
    spectroscopy = Reason(code="spectroscopy", message="spectroscopy has no image")
    reading = node.read(shown, [unread_stack(status="unsupported", reason=spectroscopy)])
    assert page(node, f"/series/{reading.series_instance_uid}").all("img", "src") == []
    assert node.get(f"/series/{reading.series_instance_uid}/stacks/7.png").status == 404


def test_pictures_are_made_once(node: Node, tmp_path: Path) -> None:
    shown = images(2)
    node.keep(shown)
    reading = node.read(shown)
    path = f"/series/{reading.series_instance_uid}/stacks/0.png"
    first = node.get(path)
    for file in (tmp_path / "spool" / "instances").rglob("*.dcm"):
        file.unlink()
    assert node.get(path).body == first.body


def test_a_report_can_be_had_and_nothing_else_of_the_spool(node: Node) -> None:
    reading, other = node.read(images(seed=1)), node.read(images(seed=2))
    path = f"/series/{reading.series_instance_uid}/reports"
    (report,) = (link for link in page(node, f"/series/{reading.series_instance_uid}").all("a", "href") if path in link)
    assert node.get(report).status == 404, "it is not in the spool yet"
    record = node.ledger.series(reading.series_instance_uid)
    assert record is not None
    sop_uid = record.reports[0].sop_instance_uid
    node.site.spool.report_path(sop_uid).write_bytes(b"DICOM")
    answer = node.get(report)
    assert answer.body == b"DICOM"
    assert answer.headers["content-type"] == "application/dicom"
    assert f'filename="{sop_uid}.dcm"' in answer.headers["content-disposition"]
    assert node.get(f"/series/{other.series_instance_uid}/reports/{sop_uid}.dcm").status == 404
    assert node.get(f"{path}/..%2f..%2fledger.dcm").status == 404


def test_a_series_can_be_read_again_from_its_page(node: Node) -> None:
    reading = node.read(images())
    headers, token = session(node, reading.series_instance_uid)
    path = f"/series/{reading.series_instance_uid}/read"
    answer = node.ask("POST", path, headers=headers, body=urlencode({"csrf": token}).encode())
    assert answer.status == 303
    assert answer.headers["location"] == f"/series/{reading.series_instance_uid}"
    record = node.ledger.series(reading.series_instance_uid)
    assert record is not None
    assert record.summary.state == "receiving"


def test_a_form_without_its_token_changes_nothing(node: Node) -> None:
    reading, other = node.read(images(seed=1)), node.read(images(seed=2))
    headers, token = session(node, reading.series_instance_uid)
    _, foreign = session(node, other.series_instance_uid)
    path = f"/series/{reading.series_instance_uid}/read"
    plain = {"Content-Type": headers["Content-Type"]}
    for sent, body, status in (
        (headers, b"csrf=", 403),
        (headers, urlencode({"csrf": foreign}).encode(), 403),
        (headers, "csrf=ä".encode(), 403),
        (headers, b"\xff", 400),
        (headers, b"&".join([b"a=1"] * 60), 400),
        (plain, urlencode({"csrf": token}).encode(), 403),
        ({**headers, "Cookie": "mrclip=forged"}, urlencode({"csrf": token}).encode(), 403),
        ({**headers, "Content-Type": "application/json"}, b"{}", 415),
    ):
        answer = node.ask("POST", path, headers=sent, body=body)
        assert answer.status == status, body
    record = node.ledger.series(reading.series_instance_uid)
    assert record is not None
    assert record.summary.state == "read"


def test_nothing_is_compiled_for_whoever_asks_first(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = images()
    series = node.read(shown, [read_stack(shown)]).series_instance_uid

    def refuse(*_arguments: object, **_names: object) -> None:
        raise AssertionError("a page is compiled")

    monkeypatch.setattr(jinja2.Environment, "compile", refuse)
    for path in ("/", f"/series/{series}", "/scanners", "/model", "/sign-in", "/series/1.2.3"):
        assert node.get(path).status in (200, 404)


def test_style_and_icon_are_ours(node: Node) -> None:
    style = node.get("/static/pages.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in style.text
    assert "url(" not in style.text
    assert node.get("/static/icon.svg").headers["content-type"] == "image/svg+xml"


def test_the_secret_is_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    first = secret(tmp_path / "secret")
    assert len(first) >= 32
    assert secret(tmp_path / "secret") == first
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0


def test_a_series_says_what_came_under_the_uid_of_another_data_set(node: Node) -> None:
    first, *_ = some = images()
    uid = node.receive(some)
    node.keep(some)
    assert "kept aside" not in page(node, f"/series/{uid}").words.lower()
    first.PatientComments = "other"
    node.keep([first])
    node.keep(images(seed="another series"))
    (aside,) = node.site.spool.conflicts()
    seen = page(node, f"/series/{uid}").words
    assert "1 data set came again under the same SOP Instance UID" in seen
    assert aside.stem.partition("-")[2] in seen
