"""The pages in a real browser: found, read and used as a person does, by mouse and by keyboard."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from dicom_node.ledger.records import Profile
from dicom_node.settings import WebSettings
from dicom_node.web.accounts import Accounts, AccountsFile, UserEntry, hash_password
from inference.identifiers import SeriesInstanceUid
from inference.reading import Inconsistency
from peers import program
from reading_factory import contrast, finding, read_stack
from web_node import Node, images, make_site, served

pytestmark = pytest.mark.peer("chromium")

PASSWORD = "correct horse battery"
FLAGGED = Inconsistency(score=0.99, p_value=0.004, flagged=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not run as root, which containers are.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=options)
        yield browser
        browser.close()


@contextmanager
def looking(browser: Browser, node: Node, *, width: int = 1180, scheme: str = "light") -> Iterator[Page]:
    """A page in a window; what the browser complains of, and any request to another host, fails the test."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        base_url=node.url,
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith(node.url) or complaints.append(request.url))
    try:
        yield page
        assert complaints == []
    finally:
        context.close()


@pytest.fixture
def flagged(node: Node) -> str:
    """A series to be checked, among others that are clean."""
    return a_flagged_one(node)


def a_flagged_one(node: Node) -> str:
    for seed in range(3):
        node.read(images(seed=seed))
    shown = images(6, seed="flagged")
    node.keep(shown)
    header = {"EchoTime_ms": 0.098, "RepetitionTime_ms": 4000.0, "SeriesDescription_contrast": "T1"}
    stack = read_stack(shown, inconsistency=FLAGGED, findings=(finding(),), header=header, contrast=contrast())
    profile = Profile(status="read", scanner="Prisma MR1", gate_distance=None)
    return node.read(shown, [stack], profile=profile).series_instance_uid


def test_a_person_finds_the_flagged_series_looks_and_has_it_read_again(
    browser: Browser, node: Node, flagged: str
) -> None:
    with looking(browser, node) as page:
        page.goto("/")
        assert page.locator("tbody tr").count() == 4
        page.get_by_label("Alarm").select_option("please check")
        page.get_by_role("button", name="Show").click()
        assert page.locator("tbody tr").count() == 1
        page.locator("tbody a").click()
        assert page.url.endswith(f"/series/{flagged}")
        assert page.get_by_text("0.098 reads like seconds").is_visible()
        picture = page.get_by_role("img", name="Slices of stack 0")
        picture.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete && image.naturalWidth > 300", arg=picture.element_handle())
        with page.expect_download() as download:
            node.site.spool.report_path(record_report(node, flagged)).write_bytes(b"DICOM")
            page.get_by_role("link", name="Structured Report").click()
        assert download.value.suggested_filename.endswith(".dcm")
        page.get_by_role("button", name="Read again").click()
        page.wait_for_url(f"**/series/{flagged}")
        assert page.get_by_text("waiting to be read").is_visible()
        assert page.get_by_role("button", name="Read again").is_disabled()


def test_a_person_signs_in_rejects_confirms_corrects_and_sees_it_counted(browser: Browser, tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts.yaml")
    accounts.write(AccountsFile(users={"anna": UserEntry(role="reviewer", password=hash_password(PASSWORD))}))
    site = make_site(tmp_path, settings=WebSettings(sign_in="accounts"))
    with served(site) as node, looking(browser, node) as page:
        flagged = a_flagged_one(node)
        page.goto("/?flagged=true")
        page.get_by_label("Name").fill("anna")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/?flagged=true")
        assert page.get_by_text("anna, reviewer").is_visible()
        # The flagged one that nobody judged yet, by the link and the filters that are there for it.
        page.get_by_role("link", name="Flagged").click()
        page.get_by_role("combobox", name="Read", exact=True).select_option("read")
        page.get_by_label("Scanner").select_option("Prisma MR1")
        page.get_by_role("button", name="Show").click()
        assert page.locator("tbody tr").count() == 1
        page.locator("tbody a").click()
        page.wait_for_url(f"**/series/{flagged}")
        assert page.get_by_text("TEST").first.is_visible(), "whose series it is"
        finding = page.get_by_role("form", name="Judge echo-time-unit")
        shown = page.get_by_role("form", name="Judge contrast: T2")
        right = page.get_by_role("form", name="Correct contrast: T2")
        finding.get_by_role("button", name="Reject").click()
        page.get_by_text("rejected").wait_for()
        shown.get_by_role("button", name="Confirm").click()
        page.get_by_text("confirmed").wait_for()
        right.get_by_label("What it is").select_option("PROTON_DENSITY")
        right.get_by_role("button", name="Correct").click()
        page.get_by_text("corrected: PROTON_DENSITY").wait_for()
        assert page.get_by_text("anna, 2026-01-02").count() == 2
        page.get_by_role("link", name="Model").click()
        counted = {
            row.locator("td").first.inner_text(): row.locator("td.number").all_inner_texts() for row in rows(page)
        }
        heads = page.locator("th.number").all_inner_texts()[:3]
        assert {name: dict(zip(heads, numbers, strict=True)) for name, numbers in counted.items()} == {
            "contrast": {"confirmed": "0", "rejected": "0", "corrected": "1"},
            "echo-time-unit": {"confirmed": "0", "rejected": "1", "corrected": "0"},
        }
        page.get_by_role("link", name="Flagged").click()
        assert page.get_by_text("No series like this").is_visible(), "it is judged by now"
        page.get_by_label("Judged").select_option("by somebody")
        page.get_by_role("button", name="Show").click()
        assert page.locator("tbody tr").count() == 1
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        record = site.ledger.series(SeriesInstanceUid(flagged))
        assert record is not None
        said = [(one.subject, one.verdict, one.correction, one.user) for one in record.reviews]
        assert said == [
            ("echo-time-unit", "rejected", None, "anna"),
            ("contrast", "confirmed", None, "anna"),
            ("contrast", "corrected", "PROTON_DENSITY", "anna"),
        ]


def test_enter_after_a_correction_corrects(browser: Browser, node: Node, flagged: str) -> None:
    with looking(browser, node) as page:
        page.goto(f"/series/{flagged}")
        field = page.get_by_role("form", name="Correct echo-time-unit").get_by_label("What would be right")
        field.fill("98 ms")
        field.press("Enter")
        page.get_by_text("corrected: 98 ms").wait_for()


def rows(page: Page) -> list[Locator]:
    """Rows of the first table."""
    return page.locator("table").first.locator("tbody tr").all()


def record_report(node: Node, series: str) -> str:
    record = node.ledger.series(series)  # type: ignore[arg-type]
    assert record is not None
    return record.reports[-1].sop_instance_uid


def test_the_keyboard_is_enough(browser: Browser, node: Node, flagged: str) -> None:
    with looking(browser, node) as page:
        page.goto("/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        for _ in range(20):  # the filters and their buttons
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.getAttribute('href')") == f"/series/{flagged}":
                break
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/series/{flagged}")


@pytest.mark.parametrize("path", ["/", "/series/{flagged}", "/series/1.2.3", "/scanners", "/model", "/sign-in"])
def test_a_narrow_window_needs_no_scrolling_sideways(browser: Browser, node: Node, flagged: str, path: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 700}, base_url=node.url)
    page = context.new_page()
    page.goto(path.format(flagged=flagged))
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cells = (
        "[...document.querySelectorAll('.worklist td, h1, code, button')].map(one => one.getBoundingClientRect().right)"
    )
    assert max(page.evaluate(cells)) <= 360
    context.close()


@pytest.mark.parametrize("width", [780, 1000, 1180])
def test_the_worklist_fits_its_window(browser: Browser, node: Node, flagged: str, width: int) -> None:
    node.read(images(seed="long"), report=None, reason="abstained: no contrast is likely enough", destinations=())
    with looking(browser, node, width=width) as page:
        page.goto("/")
        right = (
            "[...document.querySelectorAll('.worklist, .worklist td')].map(one => one.getBoundingClientRect().right)"
        )
        assert max(page.evaluate(right)) <= width - 12
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_dark_and_light_are_both_readable(browser: Browser, node: Node, flagged: str) -> None:
    def brightness(colour: str) -> float:
        return sum(float(part) for part in colour.strip("rgb()").split(",")[:3]) / 3

    for scheme, ground_is_dark in (("light", False), ("dark", True)):
        with looking(browser, node, scheme=scheme) as page:
            page.goto(f"/series/{flagged}")
            page.wait_for_load_state("networkidle")
            ground = brightness(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            text = brightness(page.evaluate("getComputedStyle(document.body).color"))
            assert (ground < 64) == ground_is_dark
            assert abs(ground - text) > 128
