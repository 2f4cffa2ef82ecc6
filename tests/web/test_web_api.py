"""The JSON interface, asked over real sockets."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from dicom_factory import uid
from dicom_node.errors import LedgerUnavailableError
from dicom_node.ledger.records import SeriesSummary
from dicom_node.ledger.store import Ledger
from dicom_node.web.documents import PageDocument, SeriesDocument, SummaryDocument
from inference.reading import Inconsistency
from reading_factory import finding, read_stack, series_reading, unread_stack
from web_node import NOW, READER, Node, images, make_site, outcome_of, served

FLAGGED = Inconsistency(score=0.99, p_value=0.004, flagged=True)

# DESIGN's example, key for key: one entry of `series` in mrclip.reading/1 with `state` and `reports`.
SERIES_KEYS = {
    "study_instance_uid", "series_instance_uid", "modality", "instances", "contrast", "score", "p_value", "flagged",
    "stacks", "state", "reports",
}  # fmt: skip
STACK_KEYS = {
    "index", "status", "reason", "selector", "slices", "plane", "oblique_deg", "images", "contrast", "estimates",
    "header", "inconsistency", "findings",
}  # fmt: skip
CONTRAST_KEYS = {"label", "probability", "alternatives", "post_contrast", "fat_suppressed"}
FINDING_KEYS = {
    "code", "source", "attribute", "tag", "recorded", "expected", "p_value", "severity", "message", "suggestion",
}  # fmt: skip
REPORT_KEYS = {
    "sop_instance_uid", "series_instance_uid", "sop_class_uid", "reader_digest", "created_at",
    "predecessor_sop_instance_uid", "deliveries",
}  # fmt: skip
DELIVERY_KEYS = {"destination", "state", "attempts", "next_at", "reason"}


def of(uid: str) -> str:
    return f"/api/v1/series/{uid}"


def test_a_read_series_has_every_key_of_the_contract_and_no_other(node: Node) -> None:
    shown = images()
    reading = node.read(shown, [read_stack(shown, findings=(finding(),)), unread_stack(index=1)])
    answer = node.get(of(reading.series_instance_uid))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    document = answer.json
    assert document.keys() == SERIES_KEYS
    read_as = json.loads(json.dumps(reading.to_json()))
    assert {name: value for name, value in document.items() if name in read_as} == read_as
    assert document["state"] == "read"
    read, unread = document["stacks"]
    assert read.keys() == unread.keys() == STACK_KEYS
    assert read["contrast"].keys() == CONTRAST_KEYS
    assert read["findings"][0].keys() == FINDING_KEYS
    assert read["estimates"]["EchoTime_ms"].keys() == {"value", "low", "high", "coverage"}
    assert read["inconsistency"].keys() == {"score", "p_value", "flagged"}
    assert unread["contrast"] is None
    assert unread["estimates"] == {}
    assert unread["reason"].keys() == {"code", "message"}
    (report,) = document["reports"]
    assert report.keys() == REPORT_KEYS
    assert report["reader_digest"] == READER
    assert report["created_at"] == "2026-01-02T03:04:05+00:00"
    assert [delivery.keys() for delivery in report["deliveries"]] == [DELIVERY_KEYS]
    assert report["deliveries"][0]["destination"] == "pacs"
    SeriesDocument.model_validate(document)  # what OpenAPI describes is what is sent


def test_a_series_that_was_not_read_has_every_key_and_nulls(node: Node) -> None:
    uid = node.receive(images(3))
    document = node.get(of(uid)).json
    assert document.keys() == SERIES_KEYS
    unknown = ("contrast", "score", "p_value", "flagged")
    assert [document[name] for name in unknown] == [None] * 4
    assert (document["instances"], document["stacks"], document["reports"]) == (3, [], [])
    assert document["state"] == "receiving"
    SeriesDocument.model_validate(document)


def test_a_second_report_names_the_first_and_keeps_its_place(node: Node) -> None:
    shown = images(3)
    first = node.read(shown[:2])
    node.receive(shown[2:])
    job = node.claim(first.series_instance_uid)
    assert job.predecessor_uid is not None
    outcome = outcome_of(series_reading(shown), report=None, reason="nothing to say", destinations=())
    node.ledger.finish(job, outcome, now=NOW)
    document = node.get(of(first.series_instance_uid)).json
    assert document["instances"] == 3
    assert [report["sop_instance_uid"] for report in document["reports"]] == [job.predecessor_uid]


@pytest.mark.parametrize("wrong", ["1.2.x", "..%2f..%2fetc", "1" * 65, "1..2", ".1", "1.2%0a"])
def test_what_is_no_uid_is_named_and_refused(node: Node, wrong: str) -> None:
    for method, path in (("GET", of(wrong)), ("POST", f"{of(wrong)}/read")):
        answer = node.ask(method, path)
        assert answer.status in (404, 422), path
        assert answer.json["error"].keys() == {"code", "message"}
        if answer.status == 422:
            assert "series_instance_uid" in answer.json["error"]["message"]
            assert wrong not in answer.json["error"]["message"]


def test_an_unknown_series_is_404_by_its_uid(node: Node) -> None:
    for method, path in (("GET", of("1.2.3")), ("POST", f"{of('1.2.3')}/read")):
        answer = node.ask(method, path)
        assert answer.status == 404
        assert answer.json == {"error": {"code": "unknown-series", "message": "no series 1.2.3 was received"}}


def test_pages_go_by_key_and_lose_none(node: Node) -> None:
    uids = [node.receive(images(1, seed=seed)) for seed in range(7)]
    found: list[str] = []
    after, pages = "", 0
    while True:
        page = node.get(f"/api/v1/series?limit=3{after}").json
        PageDocument.model_validate(page)
        found += [line["series_instance_uid"] for line in page["series"]]
        pages += 1
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert found == uids[::-1]
    assert pages == 3


def test_a_page_that_is_just_full_is_the_last_one(node: Node) -> None:
    node.receive(images(1))
    assert node.get("/api/v1/series?limit=1").json["next"] is None


def test_pages_filter_by_state_and_flag(node: Node) -> None:
    flagged = images(seed="flagged")
    node.read(flagged, [read_stack(flagged, inconsistency=FLAGGED)])
    node.read(images(seed="clean"))
    waiting = node.receive(images(1, seed="waiting"))

    def uids(query: str) -> list[str]:
        return [line["series_instance_uid"] for line in node.get(f"/api/v1/series?{query}").json["series"]]

    assert uids("flagged=true") == [uid("series", "flagged")]
    assert uids("flagged=false") == [uid("series", "clean")]
    assert uids("state=receiving") == [waiting]
    assert uids("state=read&flagged=true") == [uid("series", "flagged")]
    assert uids("state=answered") == []


def test_a_page_says_why_a_series_got_no_report(node: Node) -> None:
    node.read(images(), report=None, reason="unsupported: localizer", destinations=())
    (line,) = node.get("/api/v1/series").json["series"]
    assert line.keys() == {field.name for field in fields(SeriesSummary)} == SummaryDocument.model_fields.keys()
    assert (line["state"], line["reason"]) == ("answered", "unsupported: localizer")


@pytest.mark.parametrize(
    "query", ["state=gone", "flagged=perhaps", "after=-1", f"after={1 << 63}", "limit=0", "limit=1001"]
)
def test_a_wrong_filter_is_named(node: Node, query: str) -> None:
    answer = node.get(f"/api/v1/series?{query}")
    assert answer.status == 422
    assert answer.json["error"]["code"] == "invalid-parameter"
    assert answer.json["error"]["message"].startswith(f"{query.partition('=')[0]}: ")


def test_a_series_can_be_asked_to_be_read_again(node: Node) -> None:
    reading = node.read(images())
    path = of(reading.series_instance_uid)
    answer = node.ask("POST", f"{path}/read")
    assert answer.status == 202
    assert answer.json == {"series_instance_uid": reading.series_instance_uid, "state": "receiving"}
    assert node.get(path).json["state"] == "receiving"
    assert node.get(path).json["contrast"] == "T2", "the reading holds until there is another one"
    node.claim(reading.series_instance_uid)
    assert node.ask("POST", f"{path}/read").json["state"] == "reading"


def test_a_ledger_that_is_gone_is_503_and_says_so(tmp_path: Path) -> None:
    class Gone(Ledger):
        def page(self, **_: Any) -> Any:
            raise LedgerUnavailableError("the ledger does not answer: OperationalError")

    site = make_site(tmp_path)
    gone = Gone.__new__(Gone)
    gone.__dict__.update(site.ledger.__dict__)
    with served(make_site(tmp_path, ledger=gone)) as node:
        answer = node.get("/api/v1/series")
        assert answer.status == 503
        assert answer.headers["retry-after"] == "5"
        assert answer.json["error"]["code"] == "ledger-unavailable"


def test_unknown_paths_and_methods_answer_in_the_same_form(node: Node) -> None:
    for method, path, status in (("GET", "/api/v1/nothing", 404), ("DELETE", "/api/v1/series", 405)):
        answer = node.ask(method, path)
        assert answer.status == status
        assert answer.json["error"].keys() == {"code", "message"}


def test_a_parameter_that_nobody_knows_is_refused(node: Node) -> None:
    for path in ("/api/v1/series?flaged=true", "/api/v1/series?limit=5&flaged=true", "/api/v1/reviews?since=1"):
        answer = node.get(path)
        assert answer.status == 422
        assert answer.json["error"]["message"].startswith("a parameter is unknown; there are: after,")
    assert "there are: none" in node.get("/api/v1/series/1.2.3?limit=1").json["error"]["message"]


def test_openapi_describes_every_route(node: Node) -> None:
    document = node.get("/api/v1/openapi.json").json
    assert set(document["paths"]) == {
        "/api/v1/series", "/api/v1/series/{series_instance_uid}", "/api/v1/series/{series_instance_uid}/read",
        "/api/v1/reviews", "/api/v1/notify", "/healthz", "/readyz", "/metrics",
    }  # fmt: skip
    for path in document["paths"].values():
        for operation in path.values():
            assert operation.get("summary"), operation
            assert not re.search("HTTPValidationError", str(operation)), "errors have our form"
            assert {} in operation.get("security", [{}]), "nobody has to sign in here"
    one = document["components"]["schemas"]["SeriesDocument"]
    assert set(one["required"]) == SERIES_KEYS
