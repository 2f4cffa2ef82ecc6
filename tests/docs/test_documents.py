"""The documents say what is true: commands exist, links lead somewhere, figures in words are counted."""

import re
import subprocess
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from dicom_node.cli import COMMANDS, group
from inference.rules.catalogue import CODES
from serving import MRCLIP

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))


def commands(document: Path) -> list[str]:
    """The `mrclip …` lines of its code blocks, without comments."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    lines = [line.split("#")[0].strip().removeprefix(".venv/bin/") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("mrclip ")]


@cache
def help_of(command: str) -> str:
    """What `mrclip COMMAND --help` prints."""
    said = CliRunner().invoke(group, [command, "--help"], catch_exceptions=False)
    assert said.exit_code == 0
    return said.output


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_their_options_exist(document: Path) -> None:
    for line in commands(document):
        _, name, *arguments = line.split()
        assert name in COMMANDS, line
        options = {argument.split("=")[0] for argument in arguments if argument.startswith("--")}
        if name != "bundles":  # its options belong to its own commands
            assert {option for option in options if option not in help_of(name)} == set(), line


def test_the_readme_counts_the_rules_right() -> None:
    (count,) = re.findall(r"\[(\d+) kinds of contradiction\]", (ROOT / "README.md").read_text())
    assert int(count) == len(CODES)


def test_the_readme_starts_the_node_with_its_own_settings_file() -> None:
    command = [*MRCLIP, "check-config", "--config", str(ROOT / "configs" / "node.yaml")]
    assert "port: 11112" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def named(room: str) -> list[str]:
    """The modules and folders that the map names for a room: in the first column of its table, or where it has none in
    its text. `x` (`_a`) means x and x_a too, `x*` all that begin so."""
    (section,) = re.findall(rf"^## {room}:(.*?)(?=^## |\Z)", (ROOT / "ARCHITECTURE.md").read_text(), re.DOTALL | re.M)
    cells: list[str] = re.findall(r"^\| (`.*?) \|", section, re.M) or [section]
    names, base = list[str](), ""
    for name in (name for cell in cells for name in re.findall(r"`([^`\n]+)`", cell)):
        base = base if name.startswith("_") else name.rstrip("/")
        names.append(base + name if name.startswith("_") else base)
    return names


@pytest.mark.parametrize("room", ["inference", "dicom_node", "orthanc_plugin", "training"])
def test_the_map_names_every_module_of_a_room(room: str) -> None:
    modules = {path.stem for path in (ROOT / room).glob("*.py") if not path.stem.startswith("__")}
    packages = {path.parent.name for path in (ROOT / room).glob("*/__init__.py")}
    patterns = named(room)
    assert [one for one in sorted(modules | packages) if not any(fnmatch(one, name) for name in patterns)] == []
