"""What docs/web.md shows is true: settings that load, routes that exist, figures that are given."""

import re
from pathlib import Path

import yaml

from dicom_node.settings import Settings
from web_node import Node

TEXT = (Path(__file__).parents[2] / "docs" / "web.md").read_text()


def test_settings_in_the_page_are_settings() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert blocks
    for block in blocks:
        assert Settings(**yaml.safe_load(block))


def test_the_table_names_every_route_of_the_interface(node: Node) -> None:
    rows = re.findall(r"^\| `(GET|POST) (/[^`?]*)", TEXT, re.MULTILINE)
    shown = {(method, path.replace("{SeriesInstanceUID}", "{series_instance_uid}")) for method, path in rows}
    paths = node.get("/api/v1/openapi.json").json["paths"]
    assert shown == {(method.upper(), path) for path, operations in paths.items() for method in operations}


def test_figures_in_the_page_are_given(node: Node) -> None:
    given = node.get("/metrics").text
    for name in re.findall(r"mrclip_[a-z_]+", TEXT):
        assert f"\n{name}" in f"\n{given}", name


def test_pictures_in_the_page_are_there() -> None:
    for name in re.findall(r"\]\((images/[^)]+)\)", TEXT):
        assert (Path(__file__).parents[2] / "docs" / name).is_file(), name
