"""Judging what was read: by form, kept with user and time, and listed for audit and training."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from dicom_node.ledger.records import Profile, Review
from dicom_node.settings import WebSettings
from dicom_node.web.accounts import AccountsFile, UserEntry
from dicom_node.web.reviews import ReviewsDocument
from inference.identifiers import SeriesInstanceUid
from inference.reasons import Reason
from reading_factory import finding, read_stack, series_reading, unread_stack
from web_node import NOW, Answer, Node, images, make_site, outcome_of, served


class Reviewing:
    """A person on the page of one series."""

    def __init__(self, node: Node, series: SeriesInstanceUid, headers: Mapping[str, str] | None = None) -> None:
        self.node, self.series, self.headers = node, series, dict(headers or {})
        answer = node.get(f"/series/{series}", **self.headers)
        self.text = answer.text
        self.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]
        self.headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.fields = {name: self.field(name) for name in ("csrf", "reading")}

    def field(self, name: str) -> str:
        found = re.search(f'name="{name}" value="([^"]+)"', self.text)
        return "" if found is None else found[1]

    def say(self, **fields: str) -> Answer:
        body = urlencode({**self.fields, "stack": "0", "finding": "", "verdict": "confirmed", **fields}).encode()
        return self.node.ask("POST", f"/series/{self.series}/review", headers=self.headers, body=body)

    def said(self) -> tuple[Review, ...]:
        record = self.node.ledger.series(self.series)
        assert record is not None
        return record.reviews


@pytest.fixture
def reviewing(node: Node) -> Reviewing:
    shown = images()
    stacks = [
        read_stack(shown, findings=(finding(), finding(code="spin-echo-flip-angle", suggestion=None))),
        unread_stack(index=1),
        unread_stack(index=2, status="unsupported", reason=Reason(code="no-pixels", message="no pixels")),
    ]
    return Reviewing(node, node.read(shown, stacks).series_instance_uid)


def test_a_finding_is_rejected_and_everybody_sees_by_whom(reviewing: Reviewing) -> None:
    answer = reviewing.say(finding="1", verdict="rejected")
    assert (answer.status, answer.headers["location"]) == (303, f"/series/{reviewing.series}#review-0")
    (review,) = reviewing.said()
    assert (review.stack, review.finding, review.subject) == (0, 1, "spin-echo-flip-angle")
    assert (review.verdict, review.correction, review.user, review.at) == ("rejected", None, "anybody", NOW)
    assert [kept for _, kept in reviewing.node.site.spool.reviews()] == [review]
    text = reviewing.node.get(f"/series/{reviewing.series}").text
    assert re.search(r">rejected</span>\s*<span[^>]*>anybody, 2026-01-02 03:04 UTC", text)
    assert "judged" not in reviewing.node.get("/?reviewed=false").text
    assert reviewing.series in reviewing.node.get("/?reviewed=true").text


def test_a_contrast_is_corrected_also_where_none_was_read(reviewing: Reviewing) -> None:
    assert reviewing.say(verdict="corrected", correction="FLUID_ATTENUATED").status == 303
    assert reviewing.say(stack="1", verdict="corrected", correction="UNKNOWN").status == 303
    assert [(one.stack, one.subject, one.correction) for one in reviewing.said()] == [
        (0, "contrast", "FLUID_ATTENUATED"),
        (1, "contrast", "UNKNOWN"),
    ]


def test_the_newest_judgement_holds_and_the_others_are_kept(reviewing: Reviewing) -> None:
    reviewing.say(finding="0", verdict="confirmed")
    reviewing.say(finding="0", verdict="corrected", correction="97.5")
    assert [one.verdict for one in reviewing.said()] == ["confirmed", "corrected"]
    text = reviewing.node.get(f"/series/{reviewing.series}").text
    assert "corrected: 97.5" in text
    assert ">confirmed</span>" not in text


def test_a_correction_counts_only_where_it_is_one(reviewing: Reviewing) -> None:
    reviewing.say(finding="0", verdict="rejected", correction="97.5")
    assert [one.correction for one in reviewing.said()] == [None]


@pytest.mark.parametrize(
    ("fields", "status", "named"),
    [
        ({"stack": "7"}, 422, "Stack"),
        ({"stack": ""}, 422, "Stack"),
        ({"finding": "2"}, 422, "Finding"),
        ({"finding": "-1"}, 422, "Finding"),
        ({"stack": "1", "finding": "0"}, 422, "Finding"),
        ({"verdict": "liked"}, 422, "Verdict"),
        ({"verdict": "corrected"}, 422, "Correction"),
        ({"verdict": "corrected", "correction": "T9"}, 422, "Correction"),
        ({"finding": "0", "verdict": "corrected", "correction": " "}, 422, "Correction"),
        ({"finding": "0", "verdict": "corrected", "correction": "x" * 65}, 422, "Correction"),
        ({"finding": "0", "verdict": "corrected", "correction": "a\x00b"}, 422, "Correction"),
        ({"reading": "0:1"}, 409, "read again meanwhile"),
        ({"csrf": "x"}, 403, "too old"),
    ],
)
def test_what_is_no_judgement_is_named_and_not_kept(
    reviewing: Reviewing, fields: dict[str, str], status: int, named: str
) -> None:
    answer = reviewing.say(**fields)
    assert answer.status == status
    assert named in answer.text
    assert reviewing.said() == ()


def test_a_page_that_shows_an_older_reading_cannot_judge_the_newer(reviewing: Reviewing) -> None:
    node = reviewing.node
    node.ledger.request(reviewing.series, now=NOW)
    job = node.ledger.claim(reviewing.series, owner="w", reader_digest="cd" * 32, now=NOW, lease_s=60)
    assert job is not None
    outcome = outcome_of(series_reading(images()), report=None, reason="-", destinations=())
    node.ledger.finish(job, outcome, now=NOW + timedelta(seconds=5))
    assert reviewing.say(finding="0").status == 409


def test_a_series_that_was_not_read_cannot_be_judged(node: Node) -> None:
    read, waiting = node.read(images(seed=1)).series_instance_uid, node.receive(images(seed=2))
    person = Reviewing(node, read)
    person.series = waiting
    assert person.say().status == 409
    person.series = SeriesInstanceUid("1.2.3")
    assert person.say().status == 404


def test_all_reviews_are_listed_with_their_keys(reviewing: Reviewing) -> None:
    for verdict in ("confirmed", "rejected", "corrected"):
        reviewing.say(finding="0", verdict=verdict, correction="98.0")
    node = reviewing.node
    first = node.get("/api/v1/reviews?limit=2").json
    ReviewsDocument.model_validate(first)
    second = node.get(f"/api/v1/reviews?limit=2&after={first['next']}").json
    listed = first["reviews"] + second["reviews"]
    assert [one["verdict"] for one in listed] == ["confirmed", "rejected", "corrected"]
    assert second["next"] is None
    assert listed[0]["series_instance_uid"] == reviewing.series
    assert listed[0]["at"] == "2026-01-02T03:04:05Z"


class SignedIn:
    """A node with sign-in, and the headers of a person with a role."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.site = make_site(folder, settings=WebSettings(sign_in="proxy", **settings))
        users = {name: UserEntry(role=name) for name in ("viewer", "reviewer")}  # type: ignore[arg-type]
        self.site.accounts.write(AccountsFile(users=users))

    @staticmethod
    def header(name: str) -> dict[str, str]:
        return {"X-Remote-User": name}


def test_who_judged_is_who_signed_in_and_a_viewer_only_looks(tmp_path: Path) -> None:
    signed_in = SignedIn(tmp_path)
    with served(signed_in.site) as node:
        series = node.read(images()).series_instance_uid
        person = Reviewing(node, series, signed_in.header("reviewer"))
        person.say()
        assert [one.user for one in person.said()] == ["reviewer"]
        viewer = Reviewing(node, series, signed_in.header("viewer"))
        assert "confirmed" in viewer.text
        assert 'name="verdict"' not in viewer.text
        assert viewer.say().status == 403


def test_the_patient_is_shown_to_who_signed_in_and_nothing_more_of_them(tmp_path: Path) -> None:
    signed_in = SignedIn(tmp_path)
    shown = images()
    for image in shown:
        image.PatientID, image.AccessionNumber, image.PatientBirthDate = "ID-123", "ACC-9", "19700203"
        image.PatientName = "DOE^JANE"
    with served(signed_in.site) as node:
        node.keep(shown)
        series = node.read(shown).series_instance_uid
        for path in ("/", f"/series/{series}"):
            text = node.get(path, **signed_in.header("viewer")).text
            for words in ("ID-123", "ACC-9", "2024-01-31"):
                assert words in text, path
            assert "DOE" not in text
            assert "1970" not in text


def test_the_patient_is_not_shown_where_nobody_signs_in_or_the_setting_says_so(tmp_path: Path, node: Node) -> None:
    shown = images()
    for image in shown:
        image.PatientID = "ID-123"
    node.keep(shown)
    series = node.read(shown).series_instance_uid
    assert not any("ID-123" in node.get(path).text for path in ("/", f"/series/{series}"))
    (tmp_path / "hidden").mkdir()
    signed_in = SignedIn(tmp_path / "hidden", show_patient=False)
    with served(signed_in.site) as hidden:
        hidden.keep(shown)
        hidden.read(shown)
        for path in ("/", f"/series/{series}"):
            assert "ID-123" not in hidden.get(path, **signed_in.header("viewer")).text


def test_a_patient_who_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    signed_in = SignedIn(tmp_path)
    shown = images(1)
    with served(signed_in.site) as node:
        node.keep(shown)
        series = node.read(shown).series_instance_uid
        (file,) = node.site.spool.instances(series)
        file.write_bytes(b"not DICOM")
        assert node.get("/", **signed_in.header("viewer")).status == 200
        file.unlink()
        assert node.get(f"/series/{series}", **signed_in.header("viewer")).status == 200


def test_the_worklist_filters_by_scanner_status_and_day(node: Node) -> None:
    for seed, scanner, status in (("a", "Prisma MR1", "read"), ("b", "Ingenia MR2", "abstained")):
        shown = images(seed=seed)
        job = node.claim(node.receive(shown))
        outcome = outcome_of(series_reading(shown))
        profile = Profile(status=status, scanner=scanner, gate_distance=None)  # type: ignore[arg-type]
        node.ledger.finish(job, replace(outcome, profile=profile), now=NOW)
    a, b = (str(images(seed=seed)[0].SeriesInstanceUID) for seed in ("a", "b"))

    def listed(query: str) -> list[str]:
        return re.findall(r'href="/series/([0-9.]+)"', node.get(f"/?{query}").text)

    assert listed("scanner=Prisma+MR1&status=&state=") == [a]
    assert listed("status=abstained") == [b]
    assert listed("since=2026-01-02&until=2026-01-02") == [b, a]
    assert listed("since=2026-01-03") == listed("until=2026-01-01") == []
    assert '<option value="Ingenia MR2">' in node.get("/").text
    assert node.get("/?since=yesterday").status == 422
