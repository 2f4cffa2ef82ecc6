"""Takes out of the spool what the settings let go: images of answered series, and refused files, by age.

Nothing that is not answered is ever removed, and no report. A folder is moved away in one step while the ledger holds
its series, and deleted after that; what a crash leaves behind is deleted by the next run.
"""

import logging
import secrets
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from dicom_node.errors import NodeError
from dicom_node.ledger.rebuild import series_in
from dicom_node.ledger.store import Ledger
from dicom_node.receive.spool import Spool
from dicom_node.rounds import Rounds
from inference.identifiers import SeriesInstanceUid

log = logging.getLogger(__name__)

_BATCH: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class RetentionPolicy:
    """How long things stay; None: for good."""

    answered: timedelta | None  # since the last instance of an answered series
    quarantine: timedelta | None  # since a file was refused or kept aside
    interval_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Removed:
    """What one run removed."""

    series: int = 0
    instances: int = 0
    files: int = 0  # refused or kept aside


class Remover:
    """Runs at an interval from `start` to `stop`; `run` works without it too. Two of them at once do no harm."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        spool: Spool,
        policy: RetentionPolicy,
        clock: Callable[[], datetime],
        unpublish: Callable[[str], None] | None = None,
    ) -> None:
        """`unpublish` removes a series elsewhere, by the name of its folder in the spool; StoreError where it cannot
        now."""
        self._ledger, self._spool, self._policy, self._clock = ledger, spool, policy, clock
        self._unpublish = unpublish
        self._away = spool.root / "removed"
        self._rounds = Rounds(self._round, name="retention", interval_s=policy.interval_s)

    def start(self) -> None:
        """Begin, at once."""
        self._rounds.start()

    def stop(self) -> None:
        """End after the series that is being removed; also before `start`, and twice."""
        self._rounds.stop()

    def run(self, now: datetime) -> Removed:
        """Remove what is old enough at `now`. Raises LedgerUnavailableError."""
        series, instances = self._series(now)
        self._delete()
        removed = Removed(series=series, instances=instances, files=self._refused(now))
        if removed != Removed():
            log.info("removed", extra={"count": series, "instances": instances, "files": removed.files})
        return removed

    def _series(self, now: datetime) -> tuple[int, int]:
        series = instances = 0
        if self._policy.answered is None:
            return series, instances
        before = now - self._policy.answered
        while not self._rounds.are_over and (found := self._ledger.removable(before, limit=_BATCH)):
            counts = [self._ledger.remove(uid, before=before, take_out=self._taker(uid)) for uid in found]
            series += sum(count is not None for count in counts)
            instances += sum(count or 0 for count in counts)
        return series + self._removed_elsewhere(before), instances

    def _removed_elsewhere(self, before: datetime) -> int:
        """Take out what this spool has of series that another node of the same ledger removed; how many."""
        count = 0
        for folder in self._spool.series_folders():
            if self._rounds.are_over or folder.stat().st_mtime >= before.timestamp():
                continue
            uid = series_in(folder)
            count += uid is not None and self._ledger.take_out_removed(uid, self._taker(uid))
        return count

    def _delete(self) -> None:
        """Delete what was moved away, elsewhere first: what cannot be deleted there now stays for the next run."""
        for folder in self._away.glob("*"):
            if self._unpublish is not None:
                self._unpublish(folder.name.partition("-")[0])
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self._away, ignore_errors=True)

    def _taker(self, series: SeriesInstanceUid) -> Callable[[], None]:
        def take_out() -> None:
            folder = self._spool.series_folder(series)
            self._away.mkdir(mode=0o750, exist_ok=True)
            if folder.exists():
                folder.rename(self._away / f"{folder.name}-{secrets.token_hex(4)}")

        return take_out

    def _refused(self, now: datetime) -> int:
        if self._policy.quarantine is None:
            return 0
        before_s = (now - self._policy.quarantine).timestamp()
        old = [path for path in self._kept_aside() if path.stat().st_mtime < before_s]
        for path in old:
            path.with_suffix(".json").unlink(missing_ok=True)  # first: without it nobody looks for the file
            path.unlink(missing_ok=True)
        return len(old)

    def _kept_aside(self) -> Iterable[Path]:
        yield from (self._spool.root / "quarantine").glob("*.dcm")
        yield from (self._spool.root / "conflicts").glob("*.dcm")

    def _round(self) -> None:
        try:
            self.run(self._clock())
        except (NodeError, OSError) as error:  # what is old stays old
            log.warning("nothing removed", extra={"reason": type(error).__name__})
