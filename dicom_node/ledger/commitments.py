"""The part of the ledger that knows who asked whether what they sent is safe, and what is still to be told."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from sqlalchemy import ColumnElement, Index, Integer, String, Text, UniqueConstraint, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.commitment import Reference, Request
from dicom_node.ledger.models import Base, Instance, Key, Series, UtcTime
from dicom_node.ledger.part import LedgerPart
from inference.identifiers import SeriesInstanceUid, SopInstanceUid

CommitmentState = Literal["pending", "reported", "dead"]

_AT_ONCE: Final = 500  # UIDs in one statement


class CommitmentOrder(Base):
    """One transaction of one peer. `next_at` is the next attempt to report, or the end of the lease of one."""

    __tablename__ = "commitments"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    calling_aet: Mapped[str] = mapped_column(String(16))
    transaction_uid: Mapped[str] = mapped_column(String(64))
    refs: Mapped[str] = mapped_column(Text)  # JSON: [[SOP class, SOP instance], ...]
    state: Mapped[CommitmentState] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    next_at: Mapped[datetime | None] = mapped_column(UtcTime)
    token: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str | None] = mapped_column(Text)
    spool_id: Mapped[str | None] = mapped_column(String(32))  # of the node that was asked; None: nobody knows

    __table_args__ = (UniqueConstraint("calling_aet", "transaction_uid"), Index(None, "state", "next_at"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Commitment:
    """One transaction to be reported, leased."""

    id: int
    calling_aet: str
    request: Request
    attempt: int  # from 1
    token: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """An instance that the ledger knows under its UID."""

    series_instance_uid: SeriesInstanceUid
    sop_class_uid: str


class Commitments(LedgerPart):
    """Requests are kept until their report has been taken by the one who asked.

    Nodes that share a ledger may have a spool each: what is safe is known to those with the spool that was asked about.
    """

    def request_commitment(
        self, calling_aet: str, request: Request, *, now: datetime, due_at: datetime, spool_id: str | None = None
    ) -> int:
        """Keep a request to the node with a spool, whose report is due at `due_at`; its key.

        The same transaction of the same peer is one request: while it waits nothing changes; after it was reported, or
        given up, its peer asks because the report did not arrive, so it is reported again.
        """
        mine = (CommitmentOrder.calling_aet == calling_aet) & (
            CommitmentOrder.transaction_uid == request.transaction_uid
        )
        refs = json.dumps([[one.sop_class_uid, one.sop_instance_uid] for one in request.references])
        with self._transactions.write() as session:
            row = session.scalars(select(CommitmentOrder).where(mine).with_for_update()).one_or_none()
            if row is None:
                row = CommitmentOrder(
                    calling_aet=calling_aet, transaction_uid=request.transaction_uid, created_at=now, token=0
                )
                session.add(row)
            elif row.state == "pending" and row.refs == refs:
                return row.id
            row.refs, row.state, row.attempts, row.next_at, row.reason = refs, "pending", 0, due_at, None
            row.spool_id = spool_id
            session.flush()
            return row.id

    def due_commitments(self, now: datetime, limit: int, *, spool_id: str | None = None) -> list[int]:
        """Requests to be reported by a node with a spool, the longest due first."""
        due = select(CommitmentOrder.id).where(CommitmentOrder.state == "pending", CommitmentOrder.next_at <= now)
        due = due.where(_asked(spool_id))
        with self._transactions.read() as session:
            return list(session.scalars(due.order_by(CommitmentOrder.next_at).limit(limit)))

    def claim_commitment(
        self, commitment_id: int, *, now: datetime, lease_s: float, early: bool = False, spool_id: str | None = None
    ) -> Commitment | None:
        """Lease a request that is due, or with `early` one that was never tried.

        None if there is nothing to do, or a node with another spool was asked.
        """
        open_ = select(CommitmentOrder).where(CommitmentOrder.id == commitment_id, CommitmentOrder.state == "pending")
        open_ = open_.where(_asked(spool_id))
        due = CommitmentOrder.next_at <= now
        with self._transactions.write() as session:
            wanted = open_.where(due | (CommitmentOrder.attempts == 0)) if early else open_.where(due)
            row = session.scalars(wanted.with_for_update(skip_locked=True)).one_or_none()
            if row is None:
                return None
            row.attempts, row.token, row.next_at = row.attempts + 1, row.token + 1, now + timedelta(seconds=lease_s)
            return Commitment(
                id=row.id,
                calling_aet=row.calling_aet,
                request=Request(
                    transaction_uid=row.transaction_uid,
                    references=tuple(
                        Reference(sop_class_uid=sop_class, sop_instance_uid=instance)
                        for sop_class, instance in json.loads(row.refs)
                    ),
                ),
                attempt=row.attempts,
                token=row.token,
            )

    def hurry_commitment(self, commitment_id: int, *, now: datetime) -> None:
        """Its association has ended: a request that was never tried is due now."""
        with self._transactions.write() as session:
            session.execute(
                update(CommitmentOrder)
                .where(CommitmentOrder.id == commitment_id, CommitmentOrder.state == "pending")
                .where(CommitmentOrder.attempts == 0)
                .values(next_at=now)
            )

    def commitment_reported(self, commitment: Commitment) -> bool:
        """The peer took the report; False if the lease was lost."""
        return self._end(commitment, state="reported", next_at=None, reason=None)

    def report_failed(self, commitment: Commitment, reason: str, *, retry_at: datetime | None) -> bool:
        """The peer did not take the report: due again at `retry_at`, or given up with `reason` if that is None."""
        return self._end(commitment, state="dead" if retry_at is None else "pending", next_at=retry_at, reason=reason)

    def revive_commitments(self, *, now: datetime) -> int:
        """Make reports that were given up due again; how many there were."""
        dead = update(CommitmentOrder).where(CommitmentOrder.state == "dead")
        with self._transactions.write() as session:
            revived = dead.values(state="pending", attempts=0, next_at=now).returning(CommitmentOrder.id)
            return len(session.execute(revived).all())

    def commitments_by_state(self) -> dict[CommitmentState, int]:
        """How many requests are in each state; every state is a key."""
        count = select(CommitmentOrder.state, func.count()).group_by(CommitmentOrder.state)
        with self._transactions.read() as session:
            found = dict(session.execute(count).all())
        return {state: found.get(state, 0) for state in get_args(CommitmentState)}

    def held(self, uids: Iterable[SopInstanceUid]) -> Mapping[SopInstanceUid, list[Held]]:
        """What is held under each SOP Instance UID; one that nobody sent is no key."""
        found: dict[SopInstanceUid, list[Held]] = {}
        wanted = sorted(set(uids))
        with self._transactions.read() as session:
            for first in range(0, len(wanted), _AT_ONCE):
                some = wanted[first : first + _AT_ONCE]
                rows = session.execute(
                    select(Instance.sop_uid, Series.series_uid, Instance.sop_class_uid)
                    .join(Series, Series.id == Instance.series_id)
                    .where(Instance.sop_uid.in_(some))
                )
                for uid, series, sop_class in rows:
                    held = Held(series_instance_uid=SeriesInstanceUid(series), sop_class_uid=sop_class)
                    found.setdefault(SopInstanceUid(uid), []).append(held)
        return found

    def _end(
        self, commitment: Commitment, *, state: CommitmentState, next_at: datetime | None, reason: str | None
    ) -> bool:
        statement = (
            update(CommitmentOrder)
            .where(CommitmentOrder.id == commitment.id, CommitmentOrder.token == commitment.token)
            .where(CommitmentOrder.state == "pending")
            .values(state=state, next_at=next_at, reason=reason)
            .returning(CommitmentOrder.id)
        )
        with self._transactions.write() as session:
            return session.execute(statement).one_or_none() is not None


def _asked(spool_id: str | None) -> ColumnElement[bool]:
    return (CommitmentOrder.spool_id == spool_id) | CommitmentOrder.spool_id.is_(None)
