"""One study through a whole node and out to a DICOM peer: what `mrclip demo` does."""

import threading
import time
import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
from pydicom.uid import Comprehensive3DSRStorage
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity

from dicom_node.commands.read_output import print_table
from dicom_node.deliver.scu import Peer
from dicom_node.ledger.records import SeriesSummary
from dicom_node.node import Node
from dicom_node.report.html import page
from dicom_node.send import send
from dicom_node.settings import Settings, given_settings
from inference.identifiers import SeriesInstanceUid, is_uid
from inference.read import SeriesResult, read_paths

Say = Callable[[str], None]

_WAIT_S: Final = 600.0
_QUIET_S: Final = 0.5  # the demo knows that its sender is done when its association is


class DemoFailedError(Exception):
    """The demo did not come to its end; the text says where."""


def run(study: Path | None, output: Path, *, say: Say) -> None:
    """Send `study` (None: the one in the package) through a node; everything that is made lies in `output`."""
    output.mkdir(parents=True, exist_ok=True)
    with _study(study) as folder, _destination(output / "reports") as port, Node(_settings(output, port)) as node:
        say(f"node listens on port {node.ports['dicom']}, its reports go to a DICOM peer on port {port}")
        result = send([folder], Peer(ae_title="MRCLIP", host="127.0.0.1", port=node.ports["dicom"]))
        say(f"sent {result.sent} instances over C-STORE")
        for failure in result.failures:
            say(f"not sent: {failure.label}: {failure.reason}")
        if not result.sent:
            raise DemoFailedError(f"there is nothing in {folder} that a node takes")
        reports = list(_reports(node, _wait(node)))
        html = _show(node, folder, output)
    say(f"\nreports in {output / 'reports'}:")
    for line in reports:
        say(line)
    say(f"page with pictures: {html}")


@contextmanager
def _study(study: Path | None) -> Generator[Path]:
    """A folder of DICOM files."""
    if study is not None and not zipfile.is_zipfile(study):
        yield study
        return
    with TemporaryDirectory(prefix="mrclip-demo-") as folder:
        packed = resources.files("dicom_node").joinpath("demo_study/study.zip")
        with resources.as_file(packed) as path, zipfile.ZipFile(study or path) as archive:
            archive.extractall(folder)
        yield Path(folder)


def _settings(output: Path, port: int) -> Settings:
    return given_settings(  # the demo is the same everywhere, and never the node that the environment may be about
        {
            "scp": {"host": "127.0.0.1", "port": 0, "processes": 1},
            "spool": {"path": output / "node" / "spool", "reserve_bytes": 0},
            "series": {"quiet_s": 10, "quiet_after_release_s": _QUIET_S},
            "work": {"sweep_interval_s": 0.2},
            "destinations": [{"name": "demo", "ae_title": "DEMO", "host": "127.0.0.1", "port": port}],
            "web": {"port": 0},
        }
    )


@contextmanager
def _destination(folder: Path) -> Generator[int]:
    """A storage SCP for reports that writes them into `folder`; yields its port."""
    folder.mkdir(parents=True, exist_ok=True)

    def store(event: evt.Event) -> int:
        uid = str(event.file_meta.MediaStorageSOPInstanceUID)
        if not is_uid(uid):
            return 0xC000
        (folder / f"{uid}.dcm").write_bytes(event.encoded_dataset())
        return 0x0000

    entity = ApplicationEntity(ae_title="DEMO")
    entity.add_supported_context(Comprehensive3DSRStorage)
    server = cast("Any", entity).start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()


def _wait(node: Node) -> list[SeriesSummary]:
    """Every series, once all of them are answered or given up."""
    deadline, pause = time.monotonic() + _WAIT_S, threading.Event()
    while time.monotonic() < deadline:
        series = node.ledger.page(limit=10_000)
        if series and all(one.state in ("answered", "quarantined") for one in series):
            return series
        pause.wait(0.1)
    raise DemoFailedError(f"series are still open after {_WAIT_S:.0f} s")


def _show(node: Node, folder: Path, output: Path) -> Path:
    """The readings as a table, and as a page with pictures."""
    pictures: dict[tuple[SeriesInstanceUid, int], Sequence[npt.NDArray[np.uint8]]] = {}

    def observe(_instances: object, result: SeriesResult) -> None:
        for stack in result.stacks:
            pictures[result.reading.series_instance_uid, stack.index] = stack.pictures()

    reading = read_paths([folder], node.readers.current(), observe=observe)
    print_table(reading)
    html = output / "readings.html"
    html.write_text(page(reading, pictures), encoding="utf-8")
    return html


def _reports(node: Node, series: Sequence[SeriesSummary]) -> Iterator[str]:
    """One line a series: its report, or why it has none."""
    for one in reversed(series):
        record = node.ledger.series(one.series_instance_uid)
        newest = record.reports[-1].sop_instance_uid if record is not None and record.reports else None
        yield f"  …{one.series_instance_uid[-16:]}  " + (f"{newest}.dcm" if newest else f"no report: {one.reason}")
