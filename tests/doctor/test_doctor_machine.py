"""`mrclip doctor` on the machine and what it keeps: every fault is named, with what to do about it."""

import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicom_factory import mr_image, write
from dicom_node.commitment import Reference, Request
from dicom_node.doctor import Check
from dicom_node.doctor.clock import check_clock
from dicom_node.doctor.disk import check_disk
from dicom_node.doctor.examination import examine
from dicom_node.doctor.files import check_files
from dicom_node.doctor.index import check_ledger
from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.records import Outcome, ReceivedInstance, ReportRow
from dicom_node.ledger.store import Ledger
from dicom_node.receive.part10 import read_file_meta
from dicom_node.receive.quarantine import Quarantine, StoreRequest
from dicom_node.receive.spool import EncodedInstance, Spool
from dicom_node.settings import Settings
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from peers import free_port

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERIES = SeriesInstanceUid("1.2.3")


def settings(tmp_path: Path, **sections: object) -> Settings:
    """Settings of a node that has `tmp_path` to itself."""
    chosen = {"spool": {"path": tmp_path / "spool", "reserve_bytes": 0}, "scp": {"port": free_port()}}
    return Settings(**{**chosen, "reader": {"bundle": "none"}, **sections})  # type: ignore[arg-type]


def by_name(checks: Iterator[Check]) -> dict[str, Check]:
    """The checks by what they looked at."""
    return {check.name: check for check in checks}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """The ledger beside the spool."""
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    migrate(engine)
    yield Ledger(engine, max_attempts=1)
    engine.dispose()


def receive(ledger: Ledger, *, at: datetime = NOW) -> None:
    instance = ReceivedInstance(
        study_instance_uid=StudyInstanceUid("1.2"),
        series_instance_uid=SERIES,
        sop_instance_uid=SopInstanceUid("1.2.3.4"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
    )
    ledger.record_instance(instance, now=at, due_at=at)


def test_a_node_that_was_never_started_is_whole_and_stays_untouched(tmp_path: Path) -> None:
    found = by_name(examine(settings(tmp_path), now=NOW))
    assert {check.state for check in found.values() if check.name != "node"} <= {"ok", "warning"}
    assert "the node does not run" in found["node"].message
    assert list(tmp_path.iterdir()) == []


def test_a_disk_below_its_reserve_is_broken_and_one_near_it_is_a_warning(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    for reserve, state in ((free * 2, "broken"), (free * 2 // 3, "warning"), (0, "ok")):
        chosen = settings(tmp_path, spool={"path": tmp_path / "spool", "reserve_bytes": reserve})
        assert by_name(check_disk(chosen))["disk"].state == state
    assert (
        "A700"
        in by_name(check_disk(settings(tmp_path, spool={"path": tmp_path, "reserve_bytes": free * 2})))["disk"].message
    )


def test_a_spool_that_this_user_cannot_write_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Spool(tmp_path / "spool")
    closed = tmp_path / "spool" / "reports"  # root may write everywhere, so the system's answer is replaced
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    check = by_name(check_disk(settings(tmp_path)))["spool"]
    assert check.state == "broken"
    assert "reports" in check.message
    assert "chown" in str(check.advice)


def test_a_folder_that_this_user_may_not_enter_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"  # root may enter everywhere, so the system's answer is replaced
    real = Path.exists

    def exists(path: Path) -> bool:
        if path != closed and path.is_relative_to(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "exists", exists)
    reports = {"name": "archive", "folder": closed / "reports"}
    chosen = settings(tmp_path, spool={"path": closed / "spool", "reserve_bytes": 0}, destinations=[reports])
    found = by_name(examine(chosen, now=NOW))
    for name, path in (
        ("spool", "spool"),
        ("ledger", "ledger.sqlite3"),
        ("bundle", "calibration.json"),
        ("destination archive", "reports"),
    ):
        assert (found[name].state, found[name].message) == ("broken", f"{closed / path}: Permission denied")
        assert "user that runs the node" in str(found[name].advice)


def test_conflicts_are_named_with_their_digest_and_quarantine_is_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for number in (1, 2):
        path = write(mr_image(SOPInstanceUID="1.2.3.4", SeriesInstanceUID=SERIES, EchoTime=number), tmp_path / "x.dcm")
        file = memoryview(path.read_bytes())
        spool.store(
            EncodedInstance(
                series_instance_uid=SERIES,
                sop_instance_uid=SopInstanceUid("1.2.3.4"),
                sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                data_set=file[read_file_meta(file).data_set_offset :],
            )
        )
    request = StoreRequest(
        sop_class_uid="1.2",
        sop_instance_uid="1.2",
        transfer_syntax_uid="1.2.840.10008.1.2",
        data_set=b"?",
        calling_aet=None,
    )
    Quarantine(spool.root).keep(request, reason="no UID", status=0xC000, now=NOW)
    found = by_name(check_disk(settings(tmp_path)))
    (kept,) = spool.conflicts()
    assert found["conflicts"].state == "warning"
    assert f"1.2.3.4 (digest {kept.stem.split('-')[1][:12]})" in found["conflicts"].message
    assert found["quarantine"].message.startswith("1 data set")
    assert "mrclip replay" in str(found["quarantine"].advice)


def test_a_ledger_that_is_missing_is_a_warning_where_the_spool_is_not_empty(tmp_path: Path) -> None:
    assert by_name(check_ledger(settings(tmp_path), NOW))["ledger"].state == "ok"
    (tmp_path / "spool" / "instances" / "series").mkdir(parents=True)
    check = by_name(check_ledger(settings(tmp_path), NOW))["ledger"]
    assert (check.state, "missing" in check.message) == ("warning", True)
    assert not (tmp_path / "ledger.sqlite3").exists()


def test_a_ledger_that_is_locked_is_broken(tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom_node.doctor.index._WAIT_S", 0.2)
    holder = sqlite3.connect(tmp_path / "ledger.sqlite3")
    holder.execute("BEGIN IMMEDIATE")
    check = by_name(check_ledger(settings(tmp_path), NOW))["ledger"]
    holder.close()
    assert (check.state, "fuser" in str(check.advice)) == ("broken", True)
    assert by_name(check_ledger(settings(tmp_path), NOW))["ledger"].state == "ok"


def test_a_ledger_that_is_no_database_is_broken(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").write_bytes(b"no database" * 1000)
    check = by_name(check_ledger(settings(tmp_path), NOW))["ledger"]
    assert (check.state, "built again from the spool" in str(check.advice)) == ("broken", True)


def test_a_ledger_of_another_version_is_named(tmp_path: Path, ledger: Ledger) -> None:
    for revision, state in (("9999", "broken"), ("0001", "warning")):
        with sqlite3.connect(tmp_path / "ledger.sqlite3") as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.close()
        check = by_name(check_ledger(settings(tmp_path), NOW))["ledger"]
        assert (check.state, revision in check.message) == (state, True)


def test_a_ledger_that_is_still_empty_is_no_fault(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "ledger.sqlite3").close()
    check = by_name(check_ledger(settings(tmp_path), NOW))["ledger"]
    assert (check.state, check.message) == ("ok", "answers and is empty; the first start makes its tables")


def test_a_database_server_that_is_away_is_broken_and_its_password_stays_out(tmp_path: Path) -> None:
    url = f"postgresql://mrclip:secret@127.0.0.1:{free_port()}/mrclip"
    check = by_name(check_ledger(settings(tmp_path, ledger={"database_url": url}), NOW))["ledger"]
    assert (check.state, "127.0.0.1" in str(check.advice)) == ("broken", True)
    assert "secret" not in f"{check}"
    other = by_name(check_ledger(settings(tmp_path, ledger={"database_url": "mysql://x"}), NOW))["ledger"]
    assert other.state == "broken"


def test_what_was_given_up_is_counted(tmp_path: Path, ledger: Ledger) -> None:
    receive(ledger)
    found = by_name(check_ledger(settings(tmp_path), NOW))
    assert (found["series"].state, found["deliveries"].state) == ("ok", "ok")
    job = ledger.claim(SERIES, owner="w", reader_digest="r", now=NOW, lease_s=60)
    assert job is not None
    ledger.fail(job, "broken pixels", now=NOW, retry_at=NOW)
    assert by_name(check_ledger(settings(tmp_path), NOW))["series"].state == "warning"

    ledger.request(SERIES, now=NOW)
    job = ledger.claim(SERIES, owner="w", reader_digest="r", now=NOW, lease_s=60)
    assert job is not None
    row = ReportRow(sop_instance_uid=SopInstanceUid("2.25.1"), sop_class_uid="1.2", series_instance_uid=SERIES)
    outcome = Outcome(
        document="{}", contrast=None, score=0, p_value=None, flagged=False, report=row, destinations=("pacs",)
    )
    ledger.finish(job, outcome, now=NOW)
    delivery = ledger.claim_delivery(ledger.due_deliveries(NOW, 1)[0], owner="w", now=NOW, lease_s=60)
    assert delivery is not None
    later = NOW + timedelta(minutes=20)
    ledger.delivery_failed(delivery, "status 0xA700", now=NOW, retry_at=later + timedelta(minutes=1))
    found = by_name(check_ledger(settings(tmp_path), later))
    assert (found["delivery work"].state, found["reports for pacs"].state) == ("ok", "warning")
    assert "20 min" in found["reports for pacs"].message

    delivery = ledger.claim_delivery(
        ledger.due_deliveries(later + timedelta(minutes=2), 1)[0],
        owner="w", now=later + timedelta(minutes=2), lease_s=60,
    )  # fmt: skip
    assert delivery is not None
    ledger.delivery_failed(delivery, "status 0xA900", now=NOW, retry_at=None)
    check = by_name(check_ledger(settings(tmp_path), NOW))["deliveries"]
    assert (check.state, "replay" in str(check.advice)) == ("warning", True)


def test_senders_that_could_not_be_answered_are_counted(tmp_path: Path, ledger: Ledger) -> None:
    assert by_name(check_ledger(settings(tmp_path), NOW))["commitments"].state == "ok"
    reference = Reference(sop_class_uid="1.2", sop_instance_uid="1.2.3.4")
    asked = Request(transaction_uid="2.25.7", references=(reference,))
    key = ledger.request_commitment("SCANNER", asked, now=NOW, due_at=NOW)
    commitment = ledger.claim_commitment(key, now=NOW, lease_s=60)
    assert commitment is not None
    ledger.report_failed(commitment, "nobody knows SCANNER", retry_at=None)
    check = by_name(check_ledger(settings(tmp_path), NOW))["commitments"]
    assert (check.state, "commitment.peers" in str(check.advice)) == ("warning", True)


def test_work_that_nobody_does_and_instances_from_the_future_are_named(tmp_path: Path, ledger: Ledger) -> None:
    receive(ledger)
    assert by_name(check_ledger(settings(tmp_path), NOW))["reading work"].state == "ok"
    late = by_name(check_ledger(settings(tmp_path), NOW + timedelta(minutes=20)))["reading work"]
    assert (late.state, "20 min" in late.message) == ("warning", True)
    early = by_name(check_ledger(settings(tmp_path), NOW - timedelta(minutes=5)))["arrivals"]
    assert (early.state, "5 min from now" in early.message) == ("broken", True)


def test_a_gpu_that_was_asked_for_and_is_not_there_is_broken_and_not_the_bundle(tmp_path: Path) -> None:
    asked = settings(tmp_path, reader={"bundle": None, "device": "cuda"})
    check = by_name(examine(asked, now=NOW))["bundle"]
    assert (check.state, "reader.device" in str(check.advice)) == ("broken", True)
    assert "CUDA was asked for, and this ONNX Runtime has only" in check.message


def test_a_bundle_that_is_not_there_or_not_whole_is_broken(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{}")
    for bundle in (tmp_path / "absent", damaged):
        check = by_name(examine(settings(tmp_path, reader={"bundle": str(bundle)}), now=NOW))["bundle"]
        assert (check.state, "mrclip bundles" in str(check.advice)) == ("broken", True)


def test_files_beside_the_spool_are_named_where_they_cannot_be_read(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    assert by_name(check_files(chosen)) == {}
    files = {name: tmp_path / name for name in ("web-secret", "accounts.yaml")}
    for path in files.values():
        path.touch()
    assert [(check.name, check.state) for check in check_files(chosen)] == [("web secret", "ok"), ("accounts", "ok")]
    files["accounts.yaml"].write_text("users: {anna: {role: king}}")
    check = by_name(check_files(chosen))["accounts"]
    assert (check.state, "users.anna.role" in check.message) == ("broken", True)
    for path in files.values():
        path.unlink()
        path.mkdir()  # root may read every file
    for check, path in zip(by_name(check_files(chosen)).values(), files.values(), strict=True):
        assert (check.state, check.message) == ("broken", f"{path}: Is a directory")
        assert "user that runs the node" in str(check.advice)


def test_a_calibration_that_cannot_be_read_is_broken_and_not_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").mkdir()
    found = by_name(examine(settings(tmp_path, reader={"bundle": None}), now=NOW))
    assert "bundle" not in found
    assert found["calibration"].message == f"{tmp_path / 'calibration.json'}: Is a directory"
    assert "mrclip calibrate" in str(found["calibration"].advice)


@pytest.mark.parametrize(
    ("ahead_s", "synchronised", "states"),
    [
        ({}, None, ["ok"]),
        ({}, True, ["ok"]),
        ({}, False, ["warning"]),
        ({"the broker": 0.4}, None, ["ok"]),
        ({"the broker": -8.0}, None, ["warning"]),
        ({"the broker": 31.0, "PACS": 1.0}, None, ["broken", "ok"]),
        ({"the broker": -31.0}, False, ["broken", "warning"]),
    ],
)
def test_a_clock_that_differs_by_half_a_lease_is_broken(
    ahead_s: dict[str, float], synchronised: bool | None, states: list[str]
) -> None:
    assert [check.state for check in check_clock(ahead_s, 60, lambda: synchronised)] == states
