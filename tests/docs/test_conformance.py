"""CONFORMANCE.md says what the code does; configs/mrclip.service is a unit that systemd takes and that is shut in."""

import configparser
import subprocess
from pathlib import Path

import pytest

from dicom_node.conformance import statement
from dicom_node.receive.storage_classes import MR_CLASSES, TRANSFER_SYNTAXES
from dicom_node.report import codes
from peers import program

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "configs" / "mrclip.service"


def test_the_page_is_what_the_code_makes() -> None:
    assert (ROOT / "CONFORMANCE.md").read_text() == statement(), "python -m dicom_node.conformance > CONFORMANCE.md"


def test_the_page_names_what_the_node_takes_and_says() -> None:
    page = statement()
    assert [uid for uid in (*MR_CLASSES, *TRANSFER_SYNTAXES) if f"{uid}" not in page] == []
    contrasts = [f"| {code.value} | {code.scheme_designator} |" for code in codes.CONTRAST.values()]
    assert [row for row in contrasts if row not in page] == []
    for status in ("0000", "0111", "0122", "A700", "A900", "C000"):
        assert f"| {status} |" in page


def unit() -> configparser.ConfigParser:
    """The unit; of a key that comes twice the last one."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(UNIT.read_text())
    return parser


def test_the_unit_runs_the_node_as_its_own_user_and_lets_it_write_its_folder_alone() -> None:
    service = unit()["Service"]
    assert service["ExecStart"].endswith("mrclip serve --config /etc/mrclip/node.yaml")
    assert service["User"] == "mrclip"
    assert service["StateDirectory"] == "mrclip"
    assert {service[key] for key in ("ProtectSystem", "NoNewPrivileges", "PrivateTmp")} == {"strict", "true"}
    assert service["CapabilityBoundingSet"] == "CAP_NET_BIND_SERVICE"
    assert service["Restart"] == "on-failure"
    assert service["KillMode"] == "mixed"  # a worker's own processes end at once where they are asked themselves


@pytest.mark.peer("systemd-analyze")
def test_systemd_takes_the_unit_and_finds_it_shut_in(tmp_path: Path) -> None:
    copy = tmp_path / "mrclip.service"
    copy.write_text(UNIT.read_text().replace("/opt/mrclip/bin/mrclip", "/bin/true"))
    verified = subprocess.run([program("systemd-analyze"), "verify", copy], check=False, capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")
    command = [program("systemd-analyze"), "security", "--offline=true", "--threshold=20", copy]
    scored = subprocess.run(command, check=False, capture_output=True, text=True)
    assert scored.returncode == 0, scored.stdout[-300:]
