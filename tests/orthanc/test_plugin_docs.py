"""What docs/orthanc.md shows is true."""

import json
import re
from pathlib import Path

import yaml

from dicom_node.settings import Settings
from orthanc_plugin import worker
from orthanc_plugin.configuration import configuration

FOLDER = Path(__file__).parents[2]
TEXT = (FOLDER / "docs" / "orthanc.md").read_text()


def test_snippets_of_configuration_are_understood() -> None:
    snippets = [json.loads(f"{{{block}}}") for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
    (routes,) = [snippet for snippet in snippets if "Routes" in snippet]
    assert len(configuration(routes).routes) == 2
    (settings,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert len(Settings(**yaml.safe_load(settings)).destinations) == 1


def test_metadata_and_rest_routes_are_those_of_the_plugin() -> None:
    shown = dict(re.findall(r"^\| `(Mrclip\w+)` \| (\d+) \|", TEXT, re.MULTILINE))
    shipped = json.loads((FOLDER / "orthanc_plugin" / "orthanc.json").read_text())
    assert {name: int(number) for name, number in shown.items()} == shipped["UserMetadata"]
    numbers = {worker.CONTRAST, worker.FLAGGED, worker.SCORE, worker.READER, worker.REPORT}
    assert set(shown.values()) == numbers
    plugin = (FOLDER / "orthanc_plugin" / "plugin.py").read_text()
    for path in re.findall(r"^\| `(?:GET|POST) (/mrclip/[^`]+)`", TEXT, re.MULTILINE):
        assert f'"{path.replace("{id}", "{_ID}")}"' in plugin, path


def test_every_rule_is_in_the_table() -> None:
    shipped = json.loads((FOLDER / "orthanc_plugin" / "orthanc.json").read_text())
    for key in shipped["Mrclip"]["Rules"]:
        assert f"`{key}`" in TEXT, key
