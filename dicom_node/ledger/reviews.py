"""The part of the ledger that keeps what people say to readings: for audit, and for training the next model."""

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_node.ledger.models import Reading, ReviewEntry, Series
from dicom_node.ledger.part import LedgerPart, insert_new, locked
from dicom_node.ledger.records import Review, Verdict
from inference.identifiers import SeriesInstanceUid

_NEW_REVIEW = insert_new(ReviewEntry, ReviewEntry.id)


class Reviews(LedgerPart):
    """Reviews are added and never changed; the newest on a matter holds."""

    def review(self, review: Review, *, digest: str) -> bool:
        """Enter a review whose file, with this digest, is in the spool; again is harmless. False: unknown series."""
        with self._transactions.write() as session:
            row = locked(session, review.series_instance_uid)
            if row is None:
                return False
            session.execute(_NEW_REVIEW[session.get_bind().dialect.name], _values(review, row.id, digest))
            current = None if row.reading_id is None else session.get(Reading, row.reading_id)
            if current is not None and is_reviewed(session, current):
                row.reviewed = True
            return True

    def reviews(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, Review]]:
        """Reviews with their keys, the oldest first, going on after a key."""
        statement = (
            select(ReviewEntry, Series.series_uid)
            .join(Series, Series.id == ReviewEntry.series_id)
            .where(ReviewEntry.id > after)
            .order_by(ReviewEntry.id)
            .limit(limit)
        )
        with self._transactions.read() as session:
            return [(row.id, review_of(row, uid)) for row, uid in session.execute(statement)]

    def verdicts(self) -> Mapping[tuple[str, Verdict], int]:
        """How often each subject got each verdict, by the newest review of each matter."""
        matter = (
            ReviewEntry.series_id, ReviewEntry.instances_digest, ReviewEntry.reader_digest, ReviewEntry.stack,
            ReviewEntry.finding,
        )  # fmt: skip
        newest = select(func.max(ReviewEntry.id)).group_by(*matter)
        held = select(ReviewEntry.subject, ReviewEntry.verdict).where(ReviewEntry.id.in_(newest))
        with self._transactions.read() as session:
            return Counter((subject, verdict) for subject, verdict in session.execute(held))


def is_reviewed(session: Session, reading: Reading) -> bool:
    """Whether anybody judged anything of a reading."""
    mine = select(ReviewEntry.id).where(
        ReviewEntry.series_id == reading.series_id,
        ReviewEntry.instances_digest == reading.instances_digest,
        ReviewEntry.reader_digest == reading.reader_digest,
    )
    return session.scalars(mine.limit(1)).one_or_none() is not None


def review_of(row: ReviewEntry, series_uid: str) -> Review:
    """A row as a value."""
    return Review(
        series_instance_uid=SeriesInstanceUid(series_uid),
        instances_digest=row.instances_digest,
        reader_digest=row.reader_digest,
        stack=row.stack,
        finding=row.finding,
        subject=row.subject,
        verdict=row.verdict,
        correction=row.correction,
        user=row.user_name,
        at=row.at,
    )


def _values(review: Review, series_id: int, digest: str) -> dict[str, object]:
    return {
        "digest": digest,
        "series_id": series_id,
        "instances_digest": review.instances_digest,
        "reader_digest": review.reader_digest,
        "stack": review.stack,
        "finding": review.finding,
        "subject": review.subject,
        "verdict": review.verdict,
        "correction": review.correction,
        "user_name": review.user,
        "at": review.at,
    }
