"""The part of the ledger that says what it has of what lies in a spool: to be compared with one."""

from sqlalchemy import select

from dicom_node.ledger.models import Instance, Reading, ReviewEntry, Series
from dicom_node.ledger.part import LedgerPart, filled
from dicom_node.ledger.records import Holding
from inference.identifiers import SeriesInstanceUid, SopInstanceUid


class Holdings(LedgerPart):
    """Names in a spool are made from what is given here: what is known there is known without opening a file."""

    def holdings(self, *, after: int = 0, limit: int = 500) -> list[Holding]:
        """At most `limit` series with their instances, the oldest first, going on after a key."""
        page = select(Series.id, Series.series_uid, Series.state, Series.last_at).where(Series.id > after)
        with self._transactions.read() as session:
            rows = session.execute(page.order_by(Series.id).limit(limit)).all()
            if not rows:
                return []
            within = Instance.series_id.between(rows[0].id, rows[-1].id)
            uids: dict[int, list[SopInstanceUid]] = {row.id: [] for row in rows}
            for series_id, uid in session.execute(select(Instance.series_id, Instance.sop_uid).where(within)):
                uids.setdefault(series_id, []).append(SopInstanceUid(uid))
        return [
            Holding(
                key=row.id,
                series_instance_uid=SeriesInstanceUid(row.series_uid),
                state=row.state,
                last_at=row.last_at,
                sop_instance_uids=uids[row.id],
            )
            for row in rows
        ]

    def reported(self) -> list[SopInstanceUid]:
        """The reports of all readings."""
        with self._transactions.read() as session:
            uids = session.scalars(select(Reading.report_uid).where(Reading.report_uid.is_not(None)))
            return [SopInstanceUid(filled(uid)) for uid in uids]

    def review_digests(self) -> list[str]:
        """The digests of all reviews."""
        with self._transactions.read() as session:
            return list(session.scalars(select(ReviewEntry.digest)))
