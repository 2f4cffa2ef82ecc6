"""The pages on scanners, model and accounts."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import tiny_bundle
from dicom_node.ledger.records import Profile
from dicom_node.settings import WebSettings
from dicom_node.web.accounts import AccountsFile, TokenEntry, UserEntry
from inference.bundle import Bundle
from inference.manifest import BundleError
from inference.model import load_model
from inference.read import Reader
from inference.reading import Status
from inference.registry import Registry
from reading_factory import series_reading
from web_node import NOW, Node, images, make_site, outcome_of, served


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def read(
    node: Node, seed: object, *, weeks_ago: int = 0, scanner: str = "Prisma MR1", status: Status = "read",
    flagged: bool = False, distance: float | None = None,
) -> None:  # fmt: skip
    """A series of a scanner, received some weeks ago."""
    shown = images(1, seed=seed)
    uid = node.receive(shown, at=NOW - timedelta(weeks=weeks_ago))
    profile = Profile(status=status, scanner=scanner, gate_distance=distance)
    outcome = replace(outcome_of(series_reading(shown)), flagged=flagged, profile=profile)
    assert node.ledger.finish(node.claim(uid), outcome, now=NOW)


def test_scanners_show_their_shares_and_weeks(node: Node) -> None:
    read(node, 1, weeks_ago=20, flagged=True)
    read(node, 2, weeks_ago=11, distance=0.5)
    for seed in (3, 4):
        read(node, seed, distance=0.25, flagged=seed == 3)
    read(node, 5, status="abstained", distance=0.5)
    read(node, 6, scanner="Aera <b>")
    text = node.get("/scanners").text
    assert "Aera &lt;b&gt;" in text
    # Of four series in time one is flagged and one abstained; the mean distance is (0.5 + 0.25 + 0.25 + 0.5) / 4.
    assert "Prisma MR1 4 1 3 25% 0% 33% 25% 0% 33% 0.375 0.5 0.333" in words(text)
    dashes = ", ".join(["–"] * 10)
    assert f'aria-label="please check by week: 0%, {dashes}, 33%"' in text
    assert 'x="1" width="8" y="66.7" height="33.3"' in text, "one series in the first week, three in the last"
    assert 'href="/?scanner=Prisma+MR1"' in text or 'href="/?scanner=Prisma%20MR1"' in text


def test_without_series_the_pages_say_so(node: Node) -> None:
    assert "No series was read in this time." in node.get("/scanners").text
    text = words(node.get("/model").text)
    assert "Rules only: no model bundle is active" in text
    assert "Nothing yet." in text
    assert "Nothing was read." in text


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle.write(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def modelled(tmp_path: Path, bundle: Bundle) -> Iterator[Node]:
    registry = Registry(tmp_path / "registry")
    registry.activate(registry.add(bundle.folder))
    model = load_model(bundle)
    site = make_site(tmp_path, reader=lambda: Reader(model=model, alarm_rate=0.02), registry=registry)
    with served(site) as node:
        yield node


def test_the_model_page_says_what_reads_and_how_it_is_calibrated(modelled: Node, bundle: Bundle) -> None:
    text = words(modelled.get("/model").text)
    manifest = bundle.manifest
    for said in (f"{manifest.name} {manifest.version}", bundle.sha256, manifest.licence, "0.02 of clean series"):
        assert said in text
    assert re.search(r"Calibration \d+ simulated series, of the bundle", text)
    assert f"{manifest.name}-{manifest.version}-{bundle.sha256[:12]} active" in text
    assert bundle.read("MODEL_CARD.md").decode().split()[-1] in text


def test_the_model_page_counts_what_people_said(node: Node) -> None:
    reading = node.read(images())
    page = node.get(f"/series/{reading.series_instance_uid}")
    cookie = page.headers["set-cookie"].partition(";")[0]
    fields = {name: re.search(f'name="{name}" value="([^"]+)"', page.text)[1] for name in ("csrf", "reading")}  # type: ignore[index]
    body = "&".join(f"{name}={value}" for name, value in {**fields, "stack": "0", "verdict": "rejected"}.items())
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    path = f"/series/{reading.series_instance_uid}/review"
    assert node.ask("POST", path, headers=headers, body=body.encode()).status == 303
    text = words(node.get("/model").text)
    assert "Matter confirmed rejected corrected contrast 0 1 0" in text
    assert f"{'ab' * 8}… 1 2026-01-02 03:04 UTC" in text


def test_the_model_page_says_what_is_wrong_with_a_bundle(tmp_path: Path) -> None:
    def broken() -> Reader:
        raise BundleError("label_grid.json", expected="sha256 aa", found="sha256 bb")

    with served(make_site(tmp_path, reader=broken)) as node:
        answer = node.get("/model")
        assert answer.status == 200
        assert "label_grid.json: expected sha256 aa, found sha256 bb" in words(answer.text)


def test_the_accounts_page_names_roles_and_no_secrets(tmp_path: Path) -> None:
    site = make_site(tmp_path, settings=WebSettings(sign_in="proxy"))
    users = {"bob": UserEntry(role="admin"), "anna": UserEntry(role="viewer", password="scrypt$hash")}
    site.accounts.write(AccountsFile(users=users, tokens={"orthanc": TokenEntry(role="viewer", sha256="cafe")}))
    with served(site) as node:
        text = node.get("/accounts", **{"X-Remote-User": "bob"}).text
        assert "anna viewer password bob admin proxy only orthanc viewer token" in words(text)
        assert "scrypt$" not in text
        assert "cafe" not in text
        assert 'href="/accounts"' not in node.get("/", **{"X-Remote-User": "anna"}).text
