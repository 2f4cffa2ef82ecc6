"""What a person mistypes is one line that names the option or the path and its rule, before anything is done."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dicom_node.cli import group

TODAY = date.today()  # noqa: DTZ011 - as the command has it
TOMORROW = TODAY + timedelta(days=1)


def run(*arguments: object) -> Result:
    """`mrclip ARGUMENTS`, which may end with an exit status and with nothing else."""
    return CliRunner().invoke(group, [*map(str, arguments)], catch_exceptions=False)


def said(result: Result) -> str:
    """The message, as one line."""
    return result.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("option", ["--tls-ca", "--tls-certificate", "--tls-key"])
def test_who_names_certificates_does_not_send_in_clear_text(tmp_path: Path, option: str) -> None:
    (tmp_path / "a.pem").touch()
    refused = run("send", tmp_path, option, tmp_path / "a.pem")
    assert refused.exit_code == 2
    assert said(refused) == "Error: --tls-ca, --tls-certificate and --tls-key need --tls"


@pytest.mark.parametrize("title", ["", "  ", "SEVENTEEN-LETTERS", "STATIÖN", "A\\B"])
@pytest.mark.parametrize("option", ["--called", "--calling"])
def test_what_is_no_ae_title_is_not_sent_to(tmp_path: Path, option: str, title: str) -> None:
    refused = run("send", tmp_path, option, title)
    assert refused.exit_code == 2
    assert f"'{option}'" in said(refused)
    assert "must be 1 to 16 ASCII characters without backslash" in said(refused)


@pytest.mark.parametrize(
    ("url", "calling", "named"),
    [
        ("dicom://SEVENTEEN-LETTERS@127.0.0.1:1", "OURS", "--from dicom://SEVENTEEN-LETTERS@127.0.0.1:1"),
        ("dicom://PACS@127.0.0.1:1", "", "'--calling'"),
    ],
)
def test_an_archive_is_not_asked_by_what_is_no_ae_title(url: str, calling: str, named: str) -> None:
    refused = run("backfill", "--from", url, "--calling", calling, "--since", "2024-01-01")
    assert refused.exit_code == 2
    assert named in said(refused)
    assert "is no AE title" in said(refused)


@pytest.mark.parametrize(
    ("period", "named"),
    [
        (("--since", "2024-06-01", "--until", "2024-01-01"), "--since 2024-06-01 is after --until 2024-01-01"),
        (("--since", TOMORROW), f"--since {TOMORROW} is in the future; today is {TODAY}"),
        (("--since", TOMORROW, "--until", TOMORROW), f"--since {TOMORROW} is in the future; today is {TODAY}"),
    ],
)
def test_a_period_without_days_is_no_back_fill(period: tuple[object, ...], named: str) -> None:
    refused = run("backfill", "--from", "http://127.0.0.1:1", *period)
    assert (refused.exit_code, said(refused)) == (2, f"Error: {named}")
