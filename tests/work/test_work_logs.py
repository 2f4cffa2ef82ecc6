"""Everything that is logged about a series carries one request id, in every process the same."""

import json
import logging
from pathlib import Path

from dicom_node.logs import EventFormatter, request_of
from dicom_node.receive.spool import Spool
from inference.identifiers import SeriesInstanceUid


def said() -> dict[str, object]:
    record = logging.LogRecord("dicom_node.x", logging.INFO, "x.py", 1, "something", None, None)
    event: dict[str, object] = json.loads(EventFormatter().format(record))
    return event


def test_a_request_id_is_the_beginning_of_the_folder_of_its_series(tmp_path: Path) -> None:
    one, other = SeriesInstanceUid("1.2.3"), SeriesInstanceUid("1.2.4")
    with request_of(one):
        outside = said()["request_id"]
        assert Spool(tmp_path / "spool").series_folder(one).name.startswith(str(outside))
        with request_of(other):
            assert said()["request_id"] != outside
        assert said()["request_id"] == outside
    assert "request_id" not in said()
