"""Everything that is logged about a series carries one request id, in every process the same."""

import json
import logging
from pathlib import Path

import pytest

from dicom_node.logs import EventFormatter, Trouble, request_of
from dicom_node.receive.spool import Spool
from inference.identifiers import SeriesInstanceUid


def said() -> dict[str, object]:
    record = logging.LogRecord("dicom_node.x", logging.INFO, "x.py", 1, "something", None, None)
    event: dict[str, object] = json.loads(EventFormatter().format(record))
    return event


def test_what_goes_wrong_at_every_try_is_said_at_once_then_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    trouble = Trouble(logging.getLogger("dicom_node.x"), "away", over="back", monotonic=lambda: now)
    trouble.ended()
    for now in (0.0, 1.0, 59.0, 60.0, 61.0):
        trouble.goes_on(reason=f"at {now}")
    trouble.ended()
    trouble.ended()
    trouble.goes_on(reason="anew")
    said = [(record.levelname, record.getMessage(), record.__dict__.get("reason")) for record in caplog.records]
    assert said == [
        ("WARNING", "away", "at 0.0"),
        ("WARNING", "away", "at 60.0"),
        ("INFO", "back", None),
        ("WARNING", "away", "anew"),
    ]


def test_a_request_id_is_the_beginning_of_the_folder_of_its_series(tmp_path: Path) -> None:
    one, other = SeriesInstanceUid("1.2.3"), SeriesInstanceUid("1.2.4")
    with request_of(one):
        outside = said()["request_id"]
        assert Spool(tmp_path / "spool").series_folder(one).name.startswith(str(outside))
        with request_of(other):
            assert said()["request_id"] != outside
        assert said()["request_id"] == outside
    assert "request_id" not in said()
