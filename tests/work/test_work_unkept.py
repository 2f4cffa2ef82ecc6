"""A reading that the ledger does not keep: the series says so, and is not taken for one whose reader was lost."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import DataError, SQLAlchemyError

from dicom_factory import series, write
from dicom_node.errors import LedgerUnavailableError
from dicom_node.receive.quarantine import StoreRequest
from dicom_node.work.files import SpoolFiles
from dicom_node.work.pipeline import Pipeline, WorkPolicy
from inference.read import Reader
from web_node import NOW, make_intake, make_site


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DataError("INSERT", {}, ValueError()), "DataError while reading"),
        (LedgerUnavailableError("the ledger does not answer"), None),
    ],
    ids=["row", "ledger"],
)
def test_what_the_ledger_says_of_a_reading(
    error: SQLAlchemyError | LedgerUnavailableError, reason: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish(*_: object, **__: object) -> None:
        raise error

    site = make_site(tmp_path)
    (image,) = series(1)
    request = StoreRequest.of_file(write(image, tmp_path / "sent.dcm").read_bytes())
    uid = make_intake(site.ledger, site.spool).take(request).series_instance_uid
    policy = WorkPolicy(owner="w", lease_s=60, retry_s=10, retry_max_s=10, delivery_max_attempts=9, send="all")
    pipeline = Pipeline(
        ledger=site.ledger, files=SpoolFiles(site.spool), reader=lambda: Reader(model=None), destinations={},
        policy=policy, clock=lambda: NOW + timedelta(seconds=40),
    )  # fmt: skip
    monkeypatch.setattr(site.ledger, "finish", finish)
    if reason is None:
        with pytest.raises(LedgerUnavailableError):
            pipeline.read(uid)
    else:
        pipeline.read(uid)
    row = site.ledger.series(uid)
    assert row is not None
    assert row.summary.reason == reason
    assert row.summary.state == ("reading" if reason is None else "receiving")
