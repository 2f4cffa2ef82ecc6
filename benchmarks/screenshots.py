"""Make the pictures of the node's pages in docs/images: python benchmarks/screenshots.py

Phantoms and the simulated demo study, read with the tests' tiny bundle, shown by the node's own web part in Chromium.
"""

import io
import os
import random
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import sync_playwright
from pydicom import Dataset, dcmread

import sample
import tiny_bundle
from dicom_factory import series
from dicom_node.deliver.folder import FolderDestination
from dicom_node.ledger.records import Profile, SeriesSummary
from dicom_node.report.context import Companions
from dicom_node.web.accounts import AccountsFile, TokenEntry, UserEntry, hash_password, new_token
from dicom_node.web.site import Site
from dicom_node.work.files import SpoolFiles
from dicom_node.work.pipeline import Pipeline, WorkPolicy
from inference.model import load_model
from inference.read import Reader
from peers import program
from reading_factory import series_reading
from tiny_phantoms import dicom, protocol
from web_node import Node, make_site, outcome_of, served

IMAGES = sample.ROOT / "docs" / "images"
NOW = datetime.now(UTC)


def history(node: Node) -> None:
    """Twelve weeks of three scanners, of which one drifts."""
    chance = random.Random(1)
    scanners = ("MAGNETOM Prisma MR1", "Ingenia Ambition MR2", "SIGNA Architect MR3")
    for week in range(11, -1, -1):
        for number in range(chance.randint(12, 24)):
            shown, scanner = series(1, seed=f"{week}-{number}"), chance.choice(scanners)
            drift = 0.15 if scanner == scanners[2] and week < 4 else 0.0
            profile = Profile(
                status="abstained" if chance.random() < 0.06 + drift else "read",
                scanner=scanner,
                gate_distance=chance.uniform(0.2, 0.3) + drift,
            )
            uid = node.receive(shown, at=NOW - timedelta(weeks=week, hours=1))
            job = node.ledger.claim(uid, owner="docs", reader_digest="cd" * 32, now=NOW, lease_s=60)
            if job is None:
                raise RuntimeError("the series is not due")
            outcome = outcome_of(series_reading(shown), report=None, reason="nothing to say", destinations=())
            outcome = replace(outcome, flagged=chance.random() < 0.04, profile=profile)
            node.ledger.finish(job, outcome, now=NOW)


def studies() -> Iterable[list[Dataset]]:
    """The demo study, then phantoms: each contrast, and a T2 under the header of a T1."""
    archive = zipfile.ZipFile(io.BytesIO((files("dicom_node") / "demo_study" / "study.zip").read_bytes()))
    by_series: dict[str, list[Dataset]] = {}
    for name in archive.namelist():
        if not name.endswith("/"):
            image = dcmread(io.BytesIO(archive.read(name)))
            by_series.setdefault(image.SeriesInstanceUID, []).append(image)
    yield from by_series.values()
    for seed, contrast in enumerate(("T2", "FLUID_ATTENUATED", "STIR", "DIFFUSION")):
        yield dicom(protocol(contrast, seed=seed), slices=16, seed=100 + seed)
    yield dicom(protocol("T1", seed=9), image=protocol("T2", seed=9), slices=16, seed=200)


def read_all(node: Node, reader: Reader, folder: Path) -> None:
    """Receive and read the studies."""
    policy = WorkPolicy(
        owner="docs", lease_s=60, retry_s=1, retry_max_s=1, delivery_max_attempts=1, send="answered",
        companions=Companions(secondary_capture=True),
    )  # fmt: skip
    pipeline = Pipeline(
        ledger=node.ledger,
        files=SpoolFiles(node.site.spool),
        reader=lambda: reader,
        destinations={"archive": FolderDestination(name="archive", folder=folder)},
        policy=policy,
        clock=lambda: datetime.now(UTC),
    )
    for images in studies():
        node.keep(images)
        pipeline.read(node.receive(images, at=datetime.now(UTC)))
    for delivery in node.ledger.due_deliveries(datetime.now(UTC), 100):
        pipeline.deliver(delivery)


def picture_for_viewers(node: Node, flagged: SeriesSummary) -> None:
    """The Secondary Capture that goes with the report."""
    record = node.ledger.series(flagged.series_instance_uid)
    if record is None:
        raise RuntimeError("the series is not known")
    capture = dcmread(node.site.spool.companions(record.reports[-1].sop_instance_uid)[0])
    Image.fromarray(capture.pixel_array).save(IMAGES / "secondary-capture.png", optimize=True)


def administrator(site: Site) -> str:
    """Some accounts; the token of one that may see them."""
    token, digest = new_token()
    users = {
        "anna": UserEntry(role="reviewer", password=hash_password("an example, never used")),
        "bert": UserEntry(role="viewer"),
    }
    tokens = {
        "administrator": TokenEntry(role="admin", sha256=digest),
        "orthanc": TokenEntry(role="reviewer", sha256="0" * 64),
    }
    site.accounts.write(AccountsFile(users=users, tokens=tokens))
    return token


def main() -> None:
    """Make every picture."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        reader = Reader(model=load_model(tiny_bundle.write(folder / "bundle")), alarm_rate=0.05)
        site = make_site(folder, reader=lambda: reader, clock=lambda: datetime.now(UTC))
        with served(site) as node, sync_playwright() as playwright:
            history(node)
            read_all(node, reader, folder)
            flagged = next(line for line in node.ledger.page(flagged=True) if line.contrast == "T2")
            picture_for_viewers(node, flagged)
            options = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=program("chromium"), args=options)
            page = browser.new_page(viewport={"width": 1120, "height": 760}, base_url=node.url)
            for path, picture in (
                ("/", "web-worklist"),
                (f"/series/{flagged.series_instance_uid}", "web-series"),
                ("/scanners", "web-scanners"),
                ("/model", "web-model"),
                ("/sign-in", "web-sign-in"),
            ):
                page.goto(path)
                page.wait_for_load_state("networkidle")
                page.screenshot(path=IMAGES / f"{picture}.png", full_page=picture == "web-series")
            page.set_extra_http_headers({"Authorization": f"Bearer {administrator(site)}"})
            page.goto("/accounts")
            page.screenshot(path=IMAGES / "web-accounts.png")
            browser.close()


if __name__ == "__main__":
    main()
