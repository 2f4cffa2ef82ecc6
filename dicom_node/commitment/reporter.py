"""Tells those who asked: on the association they asked on while it is open, else on one of our own."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.presentation import build_context, build_role

from dicom_node.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, Report, Request
from dicom_node.commitment.custody import judge, spool_id
from dicom_node.commitment.messages import report_data_set
from dicom_node.deliver import DeliveryError, back_off
from dicom_node.deliver.scu import AssociationEndedError, Peer, association
from dicom_node.errors import LedgerUnavailableError, OutOfResourcesError
from dicom_node.ledger.commitments import Commitment
from dicom_node.ledger.store import Ledger
from dicom_node.logs import Trouble
from dicom_node.receive.spool import Spool
from dicom_node.rounds import Rounds

log = logging.getLogger(__name__)

_BATCH: Final = 64
_LEASE_S: Final = 180.0  # longer than everything that a report may wait for


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportPolicy:
    """When a report that was not taken is tried again."""

    interval_s: float
    retry_s: float
    retry_max_s: float
    max_attempts: int


class Reporter:
    """Reports what is due, from `start` to `stop`, in a thread of its own; `report` works without it too."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        spool: Spool,
        peers: Mapping[str, Peer],
        policy: ReportPolicy,
        clock: Callable[[], datetime],
    ) -> None:
        """`peers` by the AE title they ask with: where they take reports once their association has ended."""
        self._ledger, self._spool, self._peers = ledger, spool, peers
        self._policy, self._clock = policy, clock
        self._rounds = Rounds(self._round, name="commitment", interval_s=policy.interval_s)
        self._trouble = Trouble(log, "commitments not reported", over="commitments are reported again")

    def start(self) -> None:
        """Begin with what the last run left."""
        self._rounds.start()

    def stop(self) -> None:
        """End after the report that is being made; also before `start`, and twice."""
        self._rounds.stop()

    def wake(self) -> None:
        """Look now for what is due."""
        self._rounds.wake()

    def sweep(self) -> int:
        """Report what is due here; how much that was. Raises LedgerUnavailableError, OutOfResourcesError."""
        due = self._ledger.due_commitments(self._clock(), _BATCH, spool_id=spool_id(self._spool, make=False))
        for commitment_id in due:
            if not self._rounds.are_over:
                self.report(commitment_id)
        return len(due)

    def keep(self, calling_aet: str, request: Request, *, due_at: datetime) -> int:
        """Keep a request to this node, whose report is due at `due_at`; its key.

        Raises LedgerUnavailableError; SpoolFullError or OutOfResourcesError where its spool has no id and gets none.
        """
        asked = spool_id(self._spool, make=True)
        return self._ledger.request_commitment(calling_aet, request, now=self._clock(), due_at=due_at, spool_id=asked)

    def report(self, commitment_id: int, tell: Callable[[Report], None] | None = None) -> None:
        """Tell the one who asked by `tell`, on the association it asked on, or else call it.

        What it does not take there it is told on an association of ours, at once; what it does not take then, later.

        Raises LedgerUnavailableError or OutOfResourcesError; then it is still due.
        """
        here = spool_id(self._spool, make=False)
        commitment = self._ledger.claim_commitment(
            commitment_id, now=self._clock(), lease_s=_LEASE_S, early=tell is not None, spool_id=here
        )
        if commitment is None:
            return
        report = judge(commitment.request, ledger=self._ledger, spool=self._spool)
        try:
            if tell is None:
                self._call(commitment, report)
            else:
                tell(report)
        except DeliveryError as error:
            self._again(commitment, error, on_theirs=tell is not None)
            return
        self._ledger.commitment_reported(commitment)
        log.info(
            "commitment reported",
            extra={"ae_title": commitment.calling_aet, "instances": len(report.committed), "count": len(report.failed)},
        )

    def _call(self, commitment: Commitment, report: Report) -> None:
        peer = self._peers.get(commitment.calling_aet)
        if peer is None:
            raise DeliveryError(
                f"its association ended, and no {commitment.calling_aet} is in commitment.peers", retry=False
            )
        context = build_context(PUSH_MODEL, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        # We opened it and are the SCP all the same (PS3.4 J.3.3, PS3.7 D.3.3.4).
        with association(peer, [context], roles=[build_role(PUSH_MODEL, scp_role=True)]) as link:
            _send(link, report)

    def _again(self, commitment: Commitment, error: DeliveryError, *, on_theirs: bool) -> None:
        policy, now = self._policy, self._clock()
        pause_s = back_off(commitment.attempt, first_s=policy.retry_s, longest_s=policy.retry_max_s)
        retry = on_theirs or (error.retry and commitment.attempt < policy.max_attempts)
        self._ledger.report_failed(
            commitment, str(error), retry_at=now + timedelta(seconds=0 if on_theirs else pause_s) if retry else None
        )
        log.warning(
            "commitment not reported",
            extra={"ae_title": commitment.calling_aet, "attempt": commitment.attempt, "reason": str(error)},
        )
        if on_theirs:
            self.wake()

    def _round(self) -> None:
        try:
            self.sweep()
            self._trouble.ended()
        except (LedgerUnavailableError, OutOfResourcesError) as error:  # what is due stays due
            self._trouble.goes_on(reason=str(error))


def _send(link: Association, report: Report) -> None:
    """N-EVENT-REPORT (PS3.7 10.1.1); DeliveryError where it is not taken."""
    event_type, data_set = report_data_set(report)
    try:
        status, _ = link.send_n_event_report(data_set, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    except RuntimeError as error:
        raise AssociationEndedError from error
    except ValueError as error:  # no context was accepted
        raise DeliveryError("the peer does not accept Storage Commitment", retry=False) from error
    if "Status" not in status:
        raise AssociationEndedError
    if status.Status != 0x0000:
        raise DeliveryError(f"the peer answered the report with status 0x{int(status.Status):04X}", retry=True)
