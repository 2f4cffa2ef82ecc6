"""Settings: one file, the environment on top, and no key that nobody knows."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, SecretStr

from dicom_node import demo, zones
from dicom_node.addresses import shown_url
from dicom_node.errors import SettingsError
from dicom_node.settings import DicomDestination, FolderDestination, Settings, load_settings

EXAMPLE = Path(__file__).parents[2] / "configs" / "node.yaml"


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "node.yaml"
    file.write_text(text)
    return file


def test_the_example_shows_every_key_with_its_default():
    assert load_settings(EXAMPLE) == load_settings()
    shown = yaml.safe_load(EXAMPLE.read_text())
    assert list(shown) == list(Settings.model_fields)
    for name, section in Settings():
        if isinstance(section, BaseModel):
            assert list(shown[name]) == list(type(section).model_fields), name


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("scp: {prot: 104}", "scp.prot: unknown key"),
        ("spcp: {port: 104}", "spcp: unknown key"),
        ("spool: {url: s3://bucket}", "spool.url is for workers"),
        ("scp: {port: 70000}", "scp.port: Input should be less than or equal to 65535"),
        ("scp: {ae_title: A_TITLE_THAT_IS_TOO_LONG}", "scp.ae_title: String should have at most 16 characters"),
        ('scp: {ae_title: "A\\\\B"}', "scp.ae_title: String should match pattern"),
        ("queue: {broker_url: 'localhost:6379'}", "queue.broker_url: Value error, must be redis://HOST:PORT/DATABASE"),
        ("queue: {broker_url: 'amqp://localhost'}", "queue.broker_url: Value error, must be redis://"),
        ("queue: {broker_url: 'redis://localhost:many'}", "queue.broker_url: Value error, must be redis://"),
        ("reader: {alarm_rate: 1}", "reader.alarm_rate: Input should be less than 1"),
        ("series: {quiet_s: .inf}", "series.quiet_s: Input should be "),
        ("series: {quiet_s: .nan}", "series.quiet_s: Input should be "),
        ("work: {lease_s: 1.0e+300}", "work.lease_s: Input should be less than or equal to 1728000"),
        ("retention: {quarantine_days: 800000}", "retention.quarantine_days: Input should be less than or equal to"),
        ("destinations: [{name: a, folder: f, per_minute: 1.0e-300}]", "destinations.0.per_minute: Input should be"),
        ("reader: {threads: 1000000}", "reader.threads: Input should be less than or equal to 1024"),
        (f"spool: {{reserve_bytes: 1{'0' * 400}}}", "spool.reserve_bytes: Input should be less than or equal to"),
        ("scp: {port: true}", "scp.port: Value error, must not be true or false"),
        ("spool: {path: ''}", "spool.path: Value error, must not be empty"),
        ("destinations: [{name: a, folder: ''}]", "destinations.0.folder: Value error, must not be empty"),
        ("reader: {bundle: ''}", "reader.bundle: String should have at least 1 character"),
        ("report: {send: sometimes}", "report.send: Input should be 'answered', 'flagged' or 'all'"),
        (
            "report: {timezone: Europe/Nowhere}",
            "report.timezone: Value error, 'Europe/Nowhere' is not known here; must be",
        ),
        ("report: {timezone: Europe}", "report.timezone: Value error, 'Europe' is not known here"),
        ("report: {timezone: ''}", "report.timezone: Value error, '' is not known here"),
        ("report: {timezone: ../etc/passwd}", "report.timezone: Value error, '../etc/passwd' is not known here"),
        ("destinations: [{name: a, ae_title: A, host: h}]", "destinations.0.port: Field required"),
        ("destinations: [{name: a, folder: f, port: 1}]", "destinations.0.port: unknown key"),
        ("destinations: [{name: a, folder: f}, {name: a, folder: g}]", "destinations must have different names"),
        ("- scp", "must hold sections"),
        ("scp: {", "line 2 is not YAML"),
        ("scp:\n  port: 104\n  host: h\n  port: 105", "node.yaml, line 4: port stands twice"),
        ("? [scp]\n: {port: 104}", "node.yaml, line 1: a key must be a word"),
        ("scp: {calling_ae_titles: [A]}\nweb: {}\nscp: {port: 104}", "node.yaml, line 3: scp stands twice"),
        ("scp: {calling_hosts: {A: [192.0.2.1], 'A': [192.0.2.0/24]}}", "node.yaml, line 1: A stands twice"),
        ("scp: {port: 2024-99-99}", "node.yaml is not YAML: a character, date or number in it cannot be"),
        ("scp: " + "[" * 5000, "node.yaml is nested too deeply"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, named: str):
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, text + "\n"))
    assert named in str(caught.value)


def test_a_zone_needs_data_of_zones_and_utc_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(zones, "available_timezones", set)
    assert load_settings(write(tmp_path, "report: {timezone: UTC}\n")) == load_settings()
    with pytest.raises(SettingsError, match=r"report\.timezone: .*this machine has none: install tzdata"):
        load_settings(write(tmp_path, "report: {timezone: Europe/Berlin}\n"))


def test_every_wrong_key_is_named_at_once(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"scp\.prot.*spool\.pth.*nonsense"):
        load_settings(write(tmp_path, "scp: {prot: 1}\nspool: {pth: x}\nnonsense: 1\n"))


def test_what_an_anchor_brings_is_not_what_stands_twice(tmp_path: Path):
    text = "destinations:\n- &first {name: a, ae_title: A, host: h, port: 104}\n- {<<: *first, name: b}\n"
    first, second = load_settings(write(tmp_path, text)).destinations
    assert first.model_copy(update={"name": "b"}) == second


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"absent\.yaml cannot be read"):
        load_settings(tmp_path / "absent.yaml")


def test_empty_files_and_sections_mean_the_defaults(tmp_path: Path):
    assert load_settings(write(tmp_path, "")) == load_settings()
    assert load_settings(write(tmp_path, "scp:\n  # nothing yet\n")) == load_settings()


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MRCLIP__SCP__PORT", "104")
    monkeypatch.setenv("MRCLIP__DESTINATIONS", '[{"name": "pacs", "ae_title": "PACS", "host": "h", "port": 104}]')
    monkeypatch.setenv("MRCLIP_SHARED", "of the tests, not a setting")
    settings = load_settings(write(tmp_path, "scp: {port: 11113, ae_title: FROM_FILE}\n"))
    assert (settings.scp.port, settings.scp.ae_title) == (104, "FROM_FILE")
    assert settings.destinations == (DicomDestination(name="pacs", ae_title="PACS", host="h", port=104),)


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("MRCLIP__SCP__PROT", "1", "scp.prot: unknown key"),
        ("mrclip__scp__port", "1", "environment: MRCLIP__SCP__PORT stands twice, once in other letters"),
        ("MRCLIP__SPCP__PORT", "1", "environment: unknown MRCLIP__SPCP__PORT"),
        ("mrclip__spcp__port", "1", "environment: unknown mrclip__spcp__port"),
        ("MRCLIP__SCP__PORT", "many", "scp.port: Input should be a valid integer"),
        ("MRCLIP__SCP", "{", 'environment: MRCLIP__SCP must be JSON, such as ["A", "B"] or {"key": "A"}'),
        ("MRCLIP__SCP__CALLING_AE_TITLES", "SCANNER1", "environment: MRCLIP__SCP__CALLING_AE_TITLES must be JSON"),
        ("MRCLIP__DESTINATIONS", "hush", "environment: MRCLIP__DESTINATIONS must be JSON"),
        ("mrclip__web__names", "a,b", "environment: mrclip__web__names must be JSON"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
):
    monkeypatch.setenv("MRCLIP__SCP__PORT", "104")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert named in str(caught.value)


def test_the_demo_touches_no_node_that_the_environment_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MRCLIP__LEDGER__DATABASE_URL", f"sqlite:///{tmp_path}/production.sqlite3")
    monkeypatch.setenv("MRCLIP__SPOOL__PATH", str(tmp_path / "production"))
    monkeypatch.setenv("MRCLIP__NONSENSE", "{")
    settings = demo._settings(tmp_path / "demo", 1)
    assert settings.database_url == f"sqlite:///{tmp_path}/demo/node/ledger.sqlite3"
    assert settings.spool.path == tmp_path / "demo" / "node" / "spool"


def test_secrets_show_in_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MRCLIP__LEDGER__DATABASE_URL", "postgresql://mrclip:hush@db/mrclip")
    settings = load_settings()
    assert settings.database_url == "postgresql://mrclip:hush@db/mrclip"
    assert isinstance(settings.ledger.database_url, SecretStr)
    assert "hush" not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, "queue: {broker_url: ['redis://:hush@broker']}\n"))
    assert "queue.broker_url" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://mrclip:hush@db:5432/mrclip", "postgresql://mrclip:***@db:5432/mrclip"),
        ("postgresql://mrclip@db/mrclip?password=hush", "postgresql://mrclip@db/mrclip?***"),
        ("redis://:hush@[::1]:6379/0", "redis://:***@[::1]:6379/0"),
        ("sqlite:////var/lib/ledger.sqlite3", "sqlite:////var/lib/ledger.sqlite3"),
        ("postgresql://mrclip:hu/sh@db/mrclip", "**********"),
        ("postgresql://mrclip:hu?sh@db/mrclip", "**********"),
        ("hush", "**********"),
    ],
)
def test_a_url_is_shown_without_what_is_secret_in_it(url: str, shown: str):
    assert shown_url(SecretStr(url)) == shown


@pytest.mark.parametrize(
    "url",
    [
        "http://mrclip:hush@orthanc:8042",
        "http://mrclip:1/hush@orthanc",
        "http:// bad host",
        "http://orthanc\x00",
        "http://orthanc:99999",
        "http://orthanc:0",
        "http://orthanc:many",
        "http://:8042",
        "http://[::1",
        "http://orthanc:8042/?hush",
        "http://orthanc:8042/#hush",
        "ftp://orthanc",
        "orthanc:8042",
        "",
    ],
)
def test_a_server_is_named_by_a_url_without_secrets(tmp_path: Path, url: str):
    text = yaml.safe_dump({"web": {"orthancs": [{"url": url}]}, "tracing": {"otlp_endpoint": url}})
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, text))
    for key in ("web.orthancs.0.url", "tracing.otlp_endpoint"):
        assert f"{key}: Value error, must be http://HOST:PORT" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://orthanc", "http://127.0.0.1:8042/", "https://[::1]:8042/orthanc/a"])
def test_a_server_may_have_a_port_and_a_path(tmp_path: Path, url: str):
    text = yaml.safe_dump({"web": {"orthancs": [{"url": url}]}, "tracing": {"otlp_endpoint": url}})
    settings = load_settings(write(tmp_path, text))
    assert (settings.web.orthancs[0].url, settings.tracing.otlp_endpoint) == (url, url)


def test_the_ledger_lies_beside_the_spool_unless_told_otherwise(tmp_path: Path):
    settings = load_settings(write(tmp_path, f"spool: {{path: {tmp_path}/data/spool}}\n"))
    assert settings.database_url == f"sqlite:///{tmp_path}/data/ledger.sqlite3"


def test_settings_are_frozen():
    settings: Any = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.scp.port = 1
    with pytest.raises(ValueError, match="frozen"):
        settings.web = None


def test_a_folder_is_a_destination(tmp_path: Path):
    settings = load_settings(write(tmp_path, "destinations: [{name: archive, folder: /srv/reports}]\n"))
    assert settings.destinations == (FolderDestination(name="archive", folder=Path("/srv/reports")),)
