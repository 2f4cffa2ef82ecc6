"""Figures that count up from the ledger, and the dashboard that asks for them."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dicom_node.ledger.records import Profile
from dicom_node.web.metrics import Metrics
from inference.read import Reader
from web_node import NOW, Node, images, make_site, served

ALARMS = Path(__file__).parents[2] / "docs" / "monitoring.md"
DASHBOARD = Path(__file__).parents[2] / "configs" / "grafana" / "mrclip.json"


def figures(node: Node) -> dict[str, float]:
    """Every figure of /metrics by name and labels."""
    families = text_string_to_metric_families(node.get("/metrics").text)
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def deliver(node: Node, after_s: float) -> None:
    (delivery,) = node.ledger.due_deliveries(NOW + timedelta(seconds=after_s), 9)
    sent = node.ledger.claim_delivery(delivery, owner="w", now=NOW + timedelta(seconds=after_s), lease_s=60)
    assert sent is not None
    assert node.ledger.delivered(sent, now=NOW + timedelta(seconds=after_s))


def node_with_figures(tmp_path: Path) -> Node:
    """A site whose figures begin at NOW."""
    site = make_site(tmp_path, metrics=Metrics())
    site.metrics.watch(site.ledger, site.quarantine, lambda: NOW, reader=lambda: Reader(model=None))
    return Node(site, 0)


def test_what_workers_do_is_counted_once_each(tmp_path: Path) -> None:
    ready = node_with_figures(tmp_path)
    with served(ready.site) as node:
        profile = Profile(status="abstained", scanner="Prisma 1", gate_distance=None)
        node.read(images(seed=1), profile=profile, flagged=True)
        for _ in range(2):
            said = figures(node)
            assert said["mrclip_series_read_total scanner=Prisma 1 status=abstained"] == 1
            assert said["mrclip_series_flagged_total scanner=Prisma 1"] == 1
            assert said["mrclip_reading_seconds_count"] == 1
            assert said["mrclip_reading_seconds_sum"] == 1
            assert said["mrclip_waiting_seconds_sum"] == 0
            assert "mrclip_reports_delivered_total destination=pacs" not in said
            assert said["mrclip_oldest_undelivered_age_seconds destination=pacs"] == 0
            assert not [name for name in said if "_created" in name]
        deliver(node, 9)
        for _ in range(2):
            said = figures(node)
            assert said["mrclip_reports_delivered_total destination=pacs"] == 1
            assert said["mrclip_delivery_seconds_sum"] == 8
            assert said["mrclip_answer_seconds_sum"] == 9
        # Another worker's clock is a minute behind: what it did is counted nevertheless.
        node.read(images(seed=2), profile=profile)
        assert figures(node)["mrclip_series_read_total scanner=Prisma 1 status=abstained"] == 2


def test_what_is_due_is_told_by_priority_and_the_reader_by_its_digest(tmp_path: Path) -> None:
    ready = node_with_figures(tmp_path)
    uid = ready.receive(images(seed=1))
    ready.receive(images(seed=2))
    assert len(ready.ledger.reread("x", now=NOW, limit=9)) == 0
    ready.read(images(seed=3))
    assert len(ready.ledger.reread("x", now=NOW, limit=9)) == 1
    with served(ready.site) as node:
        said = figures(node)
    assert said["mrclip_due priority=live work=reading"] == 2, uid
    assert said["mrclip_due priority=later work=reading"] == 1
    digest = Reader(model=None).digest
    assert said[f"mrclip_reader model=none model_digest= reader_digest={digest} version="] == 1


def test_the_dashboard_asks_for_figures_and_labels_that_there_are(tmp_path: Path) -> None:
    ready = node_with_figures(tmp_path)
    with served(ready.site) as node:
        node.read(images(seed=1), profile=Profile(status="read", scanner="Prisma 1", gate_distance=None), flagged=True)
        figures(node)  # counts are kept for half a minute: of the delivery before it was made, too
        deliver(node, 9)
        there = {key.split()[0]: set(re.findall(r" (\w+)=", key)) for key in figures(node)}
    expressions = [
        target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]
    ]
    asked = {name for expression in expressions for name in re.findall(r"\bmrclip_\w+", expression)}
    assert asked <= there.keys(), asked - there.keys()
    assert len(asked) >= 13
    for expression in expressions:
        named = {name for group in re.findall(r"by \(([^)]*)\)", expression) for name in group.split(", ")}
        named |= set(re.findall(r"[{,](\w+)=", expression))
        known = set().union(*(there[name] for name in re.findall(r"\bmrclip_\w+", expression)))
        assert named <= known | {"instance"}, expression


@pytest.mark.parametrize("file", [DASHBOARD, ALARMS], ids=lambda file: file.name)
def test_only_what_counts_up_is_asked_how_much_it_grew(file: Path) -> None:
    grown = re.findall(r"\b(?:increase|rate)\((mrclip_\w+)", file.read_text())
    assert grown
    assert [name for name in grown if not name.endswith(("_total", "_bucket", "_sum", "_count"))] == []


def test_what_each_node_has_for_itself_is_summed() -> None:
    own = r"(\w+)\((?:rate\()?mrclip_(?:quarantined_files|instances_received_total|peers_refused_total)"
    assert set(re.findall(own, DASHBOARD.read_text())) == {"sum"}


def test_peers_that_were_turned_away_are_counted_by_why(tmp_path: Path) -> None:
    ready = node_with_figures(tmp_path)
    with served(ready.site) as node:
        assert figures(node)["mrclip_peers_refused_total why=host"] == 0
        for why in ("host", "title", "host"):
            node.site.metrics.refused(why)
        said = figures(node)
        assert said["mrclip_peers_refused_total why=host"] == 2
        assert said["mrclip_peers_refused_total why=title"] == 1
        assert said["mrclip_peers_refused_total why=connections"] == 0
