"""Where work has its files from and where its reports go: the node's spool, or an object store."""

import shutil
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

from pydicom import Dataset

from dicom_node.exchange.reports import get_report, put_report
from dicom_node.exchange.store import INSTANCES, NotPublishedError, ObjectStore
from dicom_node.ledger.records import Job, Outcome
from dicom_node.receive.spool import Spool
from inference.identifiers import SopInstanceUid

_LEFT_S: Final = 86400.0  # no work takes as long


class WorkFiles(Protocol):
    """Files that are there until the block ends. Raises StoreError where they are not at hand, and may be later."""

    def instances(self, job: Job) -> AbstractContextManager[Sequence[Path]]:
        """The files of a job's instances, in its order; one that is not there cannot be read."""
        ...

    def report(self, report: SopInstanceUid) -> AbstractContextManager[Sequence[Path]]:
        """A report, then what goes with it."""
        ...

    def keep(self, report: Dataset, companions: Sequence[Dataset], *, job: Job, outcome: Outcome) -> None:
        """Keep a report and what goes with it for good; the same one twice is harmless."""
        ...


class SpoolFiles:
    """The node's spool: a folder of this machine, or one that it shares."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    @contextmanager
    def instances(self, job: Job) -> Generator[Sequence[Path]]:
        """The files where they lie."""
        yield [self._spool.instance_path(job.series_instance_uid, uid) for uid in job.sop_instance_uids]

    @contextmanager
    def report(self, report: SopInstanceUid) -> Generator[Sequence[Path]]:
        """The files where they lie."""
        yield (self._spool.report_path(report), *self._spool.companions(report))

    def keep(self, report: Dataset, companions: Sequence[Dataset], *, job: Job, outcome: Outcome) -> None:
        """The report comes last: with it everything is there."""
        self._spool.store_companions(SopInstanceUid(report.SOPInstanceUID), companions)
        self._spool.store_report(report, job=job, outcome=outcome)


class StoreFiles:
    """An object store that the nodes publish to; nothing stays on this machine."""

    def __init__(self, store: ObjectStore, cache: Path) -> None:
        """`cache` is made; files are in it while they are worked on. What killed workers left there long ago goes."""
        self._store, self._cache = store, cache
        cache.mkdir(mode=0o750, parents=True, exist_ok=True)
        for left in cache.iterdir():
            with suppress(FileNotFoundError):  # another worker was quicker
                if time.time() - left.stat().st_mtime > _LEFT_S:
                    shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def instances(self, job: Job) -> Generator[Sequence[Path]]:
        """Copies. NotPublishedError where the nodes have not published all of them yet."""
        with self._spool() as spool:
            folder = spool.series_folder(job.series_instance_uid)
            folder.mkdir()
            paths = [spool.instance_path(job.series_instance_uid, uid) for uid in job.sop_instance_uids]
            there = self._store.names(f"{INSTANCES}/{folder.name}")
            missing = sum(path.name not in there for path in paths)
            if missing:
                raise NotPublishedError(f"{missing} of {len(paths)} instances are not in the object store yet")
            self._store.get((f"{INSTANCES}/{folder.name}/{path.name}", path) for path in paths)
            yield paths

    @contextmanager
    def report(self, report: SopInstanceUid) -> Generator[Sequence[Path]]:
        """Copies."""
        with self._spool() as spool:
            get_report(self._store, spool, report, note=False)
            yield (spool.report_path(report), *spool.companions(report))

    def keep(self, report: Dataset, companions: Sequence[Dataset], *, job: Job, outcome: Outcome) -> None:
        """In the object store, from where the nodes bring it into their spools."""
        with self._spool() as spool:
            SpoolFiles(spool).keep(report, companions, job=job, outcome=outcome)
            put_report(self._store, spool, SopInstanceUid(report.SOPInstanceUID))

    @contextmanager
    def _spool(self) -> Generator[Spool]:
        with TemporaryDirectory(dir=self._cache, ignore_cleanup_errors=True) as name:
            yield Spool(Path(name))
