"""The tables of the ledger. Times are whole microseconds since 1970 UTC, so that both databases compare them alike."""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dicom_node.ledger.records import LIVE, DeliveryState, Priority, SeriesState, Verdict
from inference.reading import Status

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# SQLite counts up only a column whose type is exactly INTEGER.
Key = BigInteger().with_variant(Integer(), "sqlite")


class UtcTime(TypeDecorator[datetime]):
    """A timezone-aware time; a naive one is refused, since nobody can say which hour it means."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To microseconds since 1970."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the ledger takes timezone-aware times only")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """To a time in UTC."""
        return None if value is None else _EPOCH + value * _MICROSECOND


class Base(DeclarativeBase):
    """Tables with names for their constraints, so that migrations can find them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Series(Base):
    """One series. Every question the node asks while it runs is answered by one of the indices."""

    __tablename__ = "series"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    study_uid: Mapped[str] = mapped_column(String(64))
    series_uid: Mapped[str] = mapped_column(String(64), unique=True)
    modality: Mapped[str | None] = mapped_column(String(16))
    state: Mapped[SeriesState] = mapped_column(String(16))
    instances: Mapped[int] = mapped_column(Integer)
    first_at: Mapped[datetime] = mapped_column(UtcTime)
    last_at: Mapped[datetime] = mapped_column(UtcTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcTime)  # kept while reading: when to look again if it grew
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    token: Mapped[int] = mapped_column(Integer)
    attempts: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str | None] = mapped_column(Text)
    reader_digest: Mapped[str | None] = mapped_column(String(64))  # of the last claim
    reading_id: Mapped[int | None] = mapped_column(BigInteger)  # the reading that holds now; not a key: they are mutual
    contrast: Mapped[str | None] = mapped_column(String(32))  # of that reading, as are the next two
    score: Mapped[float | None] = mapped_column(Float)
    flagged: Mapped[bool | None] = mapped_column(Boolean)
    status: Mapped[Status | None] = mapped_column(String(16))  # with the next two: Profile of that reading
    scanner: Mapped[str | None] = mapped_column(String(128))
    gate_distance: Mapped[float | None] = mapped_column(Float)
    reviewed: Mapped[bool | None] = mapped_column(Boolean)
    priority: Mapped[Priority] = mapped_column(Integer, default=LIVE, server_default="0")

    __table_args__ = (
        Index(None, "state", "due_at"),
        Index(None, "state", "priority", "due_at"),
        Index(None, "state", "lease_until"),
        Index(None, "state", "id"),
        Index(None, "flagged", "id"),
        Index(None, "status", "id"),
        Index(None, "scanner", "id"),
        Index(None, "first_at", "id"),
        {"sqlite_autoincrement": True},  # a key is never given twice: pages go on after it
    )


class ScannerWeekCounts(Base):
    """How the series of a scanner that came in a week were read; written with every reading (see `weeks`)."""

    __tablename__ = "scanner_weeks"

    scanner: Mapped[str] = mapped_column(String(128), primary_key=True)
    week: Mapped[int] = mapped_column(Integer, primary_key=True)  # since the first Monday of 1970
    series: Mapped[int] = mapped_column(BigInteger)
    flagged: Mapped[int] = mapped_column(BigInteger)
    abstained: Mapped[int] = mapped_column(BigInteger)
    measured: Mapped[int] = mapped_column(BigInteger)  # series that have a distance
    distance_sum: Mapped[float] = mapped_column(Float)


class Instance(Base):
    """One instance of a series; its bytes are in the spool."""

    __tablename__ = "instances"

    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), primary_key=True)
    sop_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    calling_aet: Mapped[str | None] = mapped_column(String(16))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    received_at: Mapped[datetime] = mapped_column(UtcTime)

    # Of two series that have an instance of one UID, the first keeps it.
    __table_args__ = (Index(None, "sop_uid", unique=True), {"sqlite_with_rowid": False})


class Reading(Base):
    """One reading of one set of instances by one reader; made at the first claim, which fixes `created_at`."""

    __tablename__ = "readings"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    instances_digest: Mapped[str] = mapped_column(String(64))
    reader_digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    predecessor_uid: Mapped[str | None] = mapped_column(String(64))
    finished_at: Mapped[datetime | None] = mapped_column(UtcTime)
    document: Mapped[str | None] = mapped_column(Text)
    claims: Mapped[str | None] = mapped_column(Text)  # contrasts that the headers of its stacks claim, a JSON list
    contrast: Mapped[str | None] = mapped_column(String(32))
    score: Mapped[float | None] = mapped_column(Float)
    p_value: Mapped[float | None] = mapped_column(Float)
    flagged: Mapped[bool | None] = mapped_column(Boolean)
    reason: Mapped[str | None] = mapped_column(Text)  # why there is no report
    report_uid: Mapped[str | None] = mapped_column(String(64))
    report_class_uid: Mapped[str | None] = mapped_column(String(64))
    report_series_uid: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        UniqueConstraint("series_id", "instances_digest", "reader_digest"),
        Index(None, "finished_at"),
    )


class ReviewEntry(Base):
    """What a person said; its file is in the spool. Rows are added and never changed."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # of its file
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    instances_digest: Mapped[str] = mapped_column(String(64))
    reader_digest: Mapped[str] = mapped_column(String(64))
    stack: Mapped[int] = mapped_column(Integer)
    finding: Mapped[int | None] = mapped_column(Integer)
    subject: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[Verdict] = mapped_column(String(16))
    correction: Mapped[str | None] = mapped_column(String(64))
    user_name: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (Index(None, "series_id"),)


class DeliveryOrder(Base):
    """One report that one destination is to get."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    reading_id: Mapped[int] = mapped_column(ForeignKey("readings.id"))
    destination: Mapped[str] = mapped_column(String(128))
    state: Mapped[DeliveryState] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    next_at: Mapped[datetime | None] = mapped_column(UtcTime)  # next attempt, or the end of the lease
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    token: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str | None] = mapped_column(Text)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcTime)
    priority: Mapped[Priority] = mapped_column(Integer, default=LIVE, server_default="0")
    stored: Mapped[bool | None] = mapped_column(Boolean)  # taken, and to be committed to
    asks: Mapped[int] = mapped_column(Integer, default=0, server_default="0")  # for a commitment

    __table_args__ = (
        UniqueConstraint("reading_id", "destination"),
        Index(None, "state", "next_at"),
        Index(None, "state", "priority", "next_at"),
        Index(None, "delivered_at"),
    )


class CommitmentAsk(Base):
    """One transaction in which a destination was asked to commit to a report; a late answer counts too."""

    __tablename__ = "commitment_asks"

    transaction_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"))
    asked_at: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (Index(None, "delivery_id"),)


class Turn(Base):
    """What only one may do, or what may be done only so often: nobody but its owner takes it before `until`."""

    __tablename__ = "turns"

    name: Mapped[str] = mapped_column(String(160), primary_key=True)
    owner: Mapped[str | None] = mapped_column(String(128))
    until: Mapped[datetime] = mapped_column(UtcTime)

    __table_args__ = (Index(None, "until"),)
