"""A report, its note and what goes with it, on their way between a spool and the object store."""

from dicom_node.exchange.store import COMPANIONS, REPORTS, ObjectStore
from dicom_node.receive.spool import Spool
from inference.identifiers import SopInstanceUid


def put_report(store: ObjectStore, spool: Spool, report: SopInstanceUid) -> None:
    """Publish a report that lies in `spool`; the note comes last, as it makes the report one. Raises StoreError."""
    path = spool.report_path(report)
    store.put((one, f"{COMPANIONS}/{path.stem}/{one.name}") for one in spool.companions(report))
    store.put([(path, f"{REPORTS}/{path.name}")])
    note = path.with_suffix(".json")
    store.put([(note, f"{REPORTS}/{note.name}")])


def get_report(store: ObjectStore, spool: Spool, report: SopInstanceUid, *, note: bool) -> None:
    """Bring a report and what goes with it into `spool`, and its note if it is to stay there; then all is synced.

    Raises NotPublishedError or StoreError.
    """
    path = spool.report_path(report)
    if names := store.names(f"{COMPANIONS}/{path.stem}"):
        folder = spool.companions_folder(report)
        companions = [(f"{COMPANIONS}/{path.stem}/{name}", folder / name) for name in sorted(names)]
        store.get(companions, lasting=note)
    store.get([(f"{REPORTS}/{path.name}", path)], lasting=note)
    if note:
        store.get([(f"{REPORTS}/{path.stem}.json", path.with_suffix(".json"))], lasting=True)
