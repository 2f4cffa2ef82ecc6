"""The values that go into the ledger and come out of it; frozen, without a database behind them.

Times are timezone-aware UTC. A reading is known by its key: the Series Instance UID, the digest of the sorted
SOP Instance UIDs that were read, and the reader digest. Everything that a report says about itself derives from
the key and from `Job.created_at`, so a report that is made twice is the same bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Final, Literal

from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from inference.reading import Status

SeriesState = Literal["receiving", "reading", "read", "answered", "quarantined", "removed"]
DeliveryState = Literal["pending", "sending", "committing", "delivered", "dead"]
Work = Literal["reading", "delivery"]
Verdict = Literal["confirmed", "rejected", "corrected"]
Priority = Literal[0, 1]  # smaller goes first

LIVE: Final[Priority] = 0  # somebody waits for it
LATER: Final[Priority] = 1  # archives, and what another reader read before: never in the way of the others
CONTRAST: Final = "contrast"  # the subject of a review that judges what the image shows, and no finding


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceivedInstance:
    """What the ledger keeps of an instance whose bytes are whole in the spool."""

    study_instance_uid: StudyInstanceUid
    series_instance_uid: SeriesInstanceUid
    sop_instance_uid: SopInstanceUid
    sop_class_uid: str
    modality: str | None = None  # Modality (0008,0060)
    calling_aet: str | None = None  # None: not received over DICOM
    size_bytes: int = 0
    priority: Priority = LIVE  # of its series; one instance that is live makes it live


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One reading of one series, leased to an owner. Read exactly `sop_instance_uids`, no file that came later."""

    study_instance_uid: StudyInstanceUid
    series_instance_uid: SeriesInstanceUid
    modality: str | None
    sop_instance_uids: tuple[SopInstanceUid, ...]  # sorted
    instances_digest: str  # instances_digest(sop_instance_uids)
    reader_digest: str
    created_at: datetime  # when this key was first claimed; the date and time that its report carries
    predecessor_uid: SopInstanceUid | None  # the report that this one supersedes (0040,A360)
    attempt: int  # from 1
    owner: str
    token: int  # grows with every claim of the series: a lease that was lost cannot be used again
    lease_until: datetime
    first_at: datetime  # when the first instance of its series came ...
    last_at: datetime  # ... and the last one


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportRow:
    """A report that lies in the spool."""

    sop_instance_uid: SopInstanceUid
    sop_class_uid: str
    series_instance_uid: SeriesInstanceUid  # of the report, not of the series it is about


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """What worklists and statistics go by, beside what a reading says."""

    status: Status | None  # the best of its stacks: read before abstained before unsupported; None without a stack
    scanner: str | None  # model and station or serial number
    gate_distance: float | None  # mean over its stacks of the distance to what the model knows


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a reading came to. Its report, where there is one, is in the spool already."""

    document: str  # one entry of `series` in mrclip.reading/1, as JSON
    contrast: str | None
    score: float
    p_value: float | None
    flagged: bool
    report: ReportRow | None
    reason: str | None = None  # why there is no report; None where there is one
    destinations: tuple[str, ...] = ()  # names of those that get the report
    profile: Profile | None = None  # kept with the series
    # Beside the document, whose keys are fixed: StackReading.claimed_contrast of its stacks, as JSON; None: not kept.
    claims: str | None = None

    def __post_init__(self) -> None:
        if self.report is None and self.destinations:
            raise ValueError("an outcome without a report has no destinations")
        if (self.report is None) != (self.reason is not None):
            raise ValueError("an outcome has either a report or a reason why there is none")


@dataclass(frozen=True, kw_only=True, slots=True)
class FiledReport:
    """A report in the spool and the reading it reports: enough to enter both into an empty ledger."""

    study_instance_uid: StudyInstanceUid
    series_instance_uid: SeriesInstanceUid
    instances_digest: str
    reader_digest: str
    created_at: datetime
    predecessor_uid: SopInstanceUid | None
    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingRow:
    """A reading that was finished, with its key."""

    instances_digest: str
    reader_digest: str
    created_at: datetime
    finished_at: datetime
    predecessor_uid: SopInstanceUid | None
    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """What a person says to one finding of a reading, or to the contrast of one of its stacks. It is never changed:
    the newest on the same matter holds, the others are kept."""

    series_instance_uid: SeriesInstanceUid
    instances_digest: str  # with the next: of which reading
    reader_digest: str
    stack: int
    finding: int | None  # its place among the findings of the stack; None for the contrast
    subject: str  # code of the finding, or CONTRAST
    verdict: Verdict
    correction: str | None  # what would be right, where that was said
    user: str
    at: datetime

    @property
    def matter(self) -> tuple[str, str, int, int | None]:
        """What it is about."""
        return self.instances_digest, self.reader_digest, self.stack, self.finding


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One report on its way to one destination, leased."""

    id: int
    source_series_uid: SeriesInstanceUid  # the series that was read; with the report's UID it finds the file
    report: ReportRow
    destination: str
    attempt: int  # from 1
    created_at: datetime  # when it was first owed
    owner: str
    token: int
    lease_until: datetime
    stored: bool = False  # the destination took it in an earlier attempt, and has not committed to it yet
    asks: int = 0  # how many times it was asked to commit
    reason: str | None = None  # why the last attempt failed, or what it answered to the last question


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryRow:
    """Where one delivery stands."""

    id: int
    report_uid: SopInstanceUid
    destination: str
    state: DeliveryState
    attempts: int
    next_at: datetime | None  # next attempt, or the end of the lease; None once delivered or dead
    reason: str | None  # why the last attempt failed


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesSummary:
    """One line of a page of series."""

    key: int  # grows with arrival; pages go on after it
    study_instance_uid: StudyInstanceUid
    series_instance_uid: SeriesInstanceUid
    modality: str | None
    state: SeriesState
    instances: int
    attempts: int
    reason: str | None  # of the last failure, or why the series got no report
    first_at: datetime
    last_at: datetime
    due_at: datetime | None  # while receiving
    lease_until: datetime | None  # while reading
    contrast: str | None
    score: float | None
    flagged: bool | None  # None: not read yet
    status: Status | None = None
    scanner: str | None = None
    reviewed: bool = False  # a person judged something of the reading that holds


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """A series and which instances of it the ledger knows."""

    key: int  # grows with arrival; pages go on after it
    series_instance_uid: SeriesInstanceUid
    state: SeriesState
    last_at: datetime
    sop_instance_uids: Sequence[SopInstanceUid]


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesFilter:
    """Which series to list; None: whatever."""

    state: SeriesState | None = None
    flagged: bool | None = None
    status: Status | None = None
    scanner: str | None = None
    reviewed: bool | None = None
    since: datetime | None = None  # of the first instance
    until: datetime | None = None  # not itself


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesRecord:
    """Everything the ledger knows about one series."""

    summary: SeriesSummary
    reading: ReadingRow | None  # the one that holds now
    readings: tuple[ReadingRow, ...]  # every one that was finished, oldest first
    reports: tuple[ReportRow, ...]  # oldest first; the last one supersedes the others
    deliveries: tuple[DeliveryRow, ...]
    reviews: tuple[Review, ...] = ()  # of whatever reading, oldest first


@dataclass(frozen=True, kw_only=True, slots=True)
class ScannerWeek:
    """What came from one scanner in one week and was read."""

    scanner: str
    monday: date
    series: int
    flagged: int
    abstained: int
    gate_distance: float | None  # mean of its series; None where no model measured any


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderUse:
    """How many series one reader read, and when their last instances came."""

    reader_digest: str
    series: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedReading:
    """A reading that came to something, and how long things took."""

    key: int
    begun_at: datetime  # by the first who claimed it
    finished_at: datetime
    last_at: datetime  # the last instance of its series
    flagged: bool
    status: Status | None  # with the next: of the series
    scanner: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeDelivery:
    """A report that its destination accepted."""

    key: int
    destination: str
    owed_at: datetime
    made_at: datetime
    last_at: datetime  # the last instance of its series
    priority: Priority


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How many series and deliveries there are in each state; every state is a key."""

    series: Mapping[SeriesState, int]
    deliveries: Mapping[DeliveryState, int]


def instances_digest(uids: Iterable[SopInstanceUid]) -> str:
    """SHA-256 (hex) over the sorted SOP Instance UIDs (0008,0018), one a line; a UID that comes twice counts once."""
    return sha256("\n".join(sorted(set(uids))).encode("ascii")).hexdigest()
