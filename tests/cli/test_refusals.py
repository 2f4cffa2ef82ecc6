"""What a person mistypes is one line that names the option or the path and its rule, before anything is done."""

import os
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import inference
from dicom_node.cli import group
from dicom_node.receive.quarantine import Quarantine
from dicom_node.settings import load_settings
from dicom_node.wiring_receive import open_spool
from serving import write_settings

DEFAULT_BUNDLE = Path(inference.__file__).with_name("default_bundle")
TODAY = date.today()  # noqa: DTZ011 - as the command has it
TOMORROW = TODAY + timedelta(days=1)


def run(*arguments: object) -> Result:
    """`mrclip ARGUMENTS`, which may end with an exit status and with nothing else."""
    return CliRunner().invoke(group, [*map(str, arguments)], prog_name="mrclip", catch_exceptions=False)


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


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("read", ".", "--html"), "--html"),
        (("read", ".", "--embeddings"), "--embeddings"),
        (("read", ".", "--sr"), "--sr"),
        (("calibrate", ".", "--output"), "--output"),
        (("demo", "--output"), "--output"),
    ],
)
def test_where_nothing_can_be_written_nothing_is_done(tmp_path: Path, arguments: tuple[str, ...], option: str) -> None:
    (tmp_path / "file").touch()
    refused = run(*arguments, tmp_path / "file" / "out")
    assert refused.exit_code == 2
    assert f"'{option}': {tmp_path / 'file'} is no folder that can be written to" in said(refused)


def test_a_file_goes_into_a_folder_that_is_there(tmp_path: Path) -> None:
    refused = run("read", ".", "--html", tmp_path / "none" / "page.html")
    assert (refused.exit_code, f"{tmp_path / 'none'} is no folder" in said(refused)) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "list"),
        ("users", "add", "anna", "--role", "viewer", "--no-password"),
        ("users", "token", "prometheus", "--role", "viewer"),
        ("backfill", "--from", "http://127.0.0.1:1", "--since", "2024-01-01"),
    ],
)
def test_what_the_system_refuses_is_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "file").touch()
    config = write_settings(tmp_path, spool={"path": str(tmp_path / "file" / "data" / "spool")})
    refused = run(*arguments, "--config", config)
    assert refused.exit_code == 1
    assert str(tmp_path / "file") in said(refused)
    assert "Not a directory" in said(refused)


@pytest.mark.parametrize("arguments", [("add", DEFAULT_BUNDLE), ("rollback",)])
def test_a_registry_that_cannot_be_is_one_line(tmp_path: Path, arguments: tuple[object, ...]) -> None:
    (tmp_path / "file").touch()
    refused = run("bundles", *arguments, "--registry", tmp_path / "file" / "registry")
    assert refused.exit_code == 1
    assert said(refused).startswith(f"Error: {tmp_path / 'file' / 'registry'}")
    assert "Not a directory" in said(refused)


def test_a_password_file_is_text(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"\xff" * 20)
    config = write_settings(tmp_path)
    refused = run(
        "users", "add", "anna", "--role", "viewer", "--password-file", tmp_path / "password", "--config", config
    )
    assert refused.exit_code == 1
    assert said(refused) == f"Error: --password-file {tmp_path / 'password'} is not UTF-8"


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_replay_without_a_node_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = run("replay", *options)
    assert refused.exit_code == 1
    assert f"{tmp_path / 'mrclip-data' / 'spool' / 'quarantine'} is not there" in said(refused)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_makes_no_ledger(tmp_path: Path) -> None:
    config = write_settings(tmp_path)
    open_spool(load_settings(config))
    Quarantine(tmp_path / "data" / "spool")
    refused = run("replay", "--dry-run", "--config", config)
    assert refused.exit_code == 1
    assert f"{tmp_path / 'data' / 'ledger.sqlite3'} is not there" in said(refused)
    assert not (tmp_path / "data" / "ledger.sqlite3").exists()
    assert run("replay", "--config", config).exit_code == 0
    listed = run("replay", "--dry-run", "--config", config)
    assert (listed.exit_code, "deliveries given up: 0" in listed.stdout) == (0, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "add", "anna", "--role", "viewer", "--no-password"),
        ("users", "token", "prometheus", "--role", "viewer"),
        ("users", "remove", "anna"),
        ("replay",),
        ("backfill", "--from", "http://127.0.0.1:1", "--since", "2024-01-01"),
        ("calibrate", "."),
    ],
)
def test_root_makes_nothing_in_the_folders_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    config = write_settings(tmp_path)
    spool = open_spool(load_settings(config)).root
    Quarantine(spool)
    if os.geteuid() == 0:
        os.chown(spool / "instances", 4242, 4242)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    before = sorted(tmp_path.rglob("*"))
    refused = run(*arguments, "--config", config)
    assert refused.exit_code == 2
    assert f"{spool / 'instances'} belongs to " in said(refused)
    assert f"-- mrclip {arguments[0]}" in said(refused)
    assert sorted(tmp_path.rglob("*")) == before


def test_root_may_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write_settings(tmp_path)
    spool = open_spool(load_settings(config)).root
    if os.geteuid() == 0:
        os.chown(spool / "instances", 4242, 4242)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert run("users", "list", "--config", config).exit_code == 0
