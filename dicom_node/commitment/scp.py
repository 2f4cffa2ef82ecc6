"""The receiving side of Storage Commitment: takes requests in on the node's own port and sees that they are answered.

A report goes back on the association it was asked on if that stays open and quiet for a moment, since a peer that goes
on sending, or releases, does not wait for it there.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, Report
from dicom_node.commitment.messages import ALL_COMMITTED, REQUEST_COMMITMENT, SOME_FAILED, read_report, read_request
from dicom_node.commitment.reporter import Reporter
from dicom_node.commitment.theirs import LONGEST_WAIT_S, TheirAssociation
from dicom_node.deliver import back_off
from dicom_node.errors import SUCCESS, CannotUnderstandError, NodeError
from dicom_node.ledger.store import Ledger
from dicom_node.receive.guard import Handler

log = logging.getLogger(__name__)

# PS3.7 C.5
_NO_SUCH_INSTANCE: Final = 0x0112
_INVALID_ARGUMENT: Final = 0x0115
_NO_SUCH_ACTION: Final = 0x0123
_NOT_AUTHORISED: Final = 0x0124
_NO_SUCH_EVENT: Final = 0x0113
_RESOURCE_LIMITATION: Final = 0x0213

# How a request (N-ACTION) is answered, and when.
STATUSES: Final = {
    SUCCESS: "the request is kept; its report follows",
    _NO_SUCH_INSTANCE: "Requested SOP Instance UID is not that of Storage Commitment",
    _INVALID_ARGUMENT: "the request has no transaction or no references, or cannot be read",
    _NO_SUCH_ACTION: "Action Type ID is not 1",
    _NOT_AUTHORISED: "the site switched it off (`commitment.enabled`)",
    _RESOURCE_LIMITATION: "the ledger does not answer; may work later",
}

_ROWS_LATE: Final = timedelta(seconds=0.2)  # those of instances that another process answered for, at most

_Answer = tuple[int, Dataset | None]


class CommitmentScp:
    """What the receiving peer offers for Storage Commitment, and its handlers."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        reporter: Reporter,
        clock: Callable[[], datetime],
        answering: bool = True,
        pause_s: Callable[[int], float] = lambda asks: back_off(asks, first_s=10.0, longest_s=3600.0),
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        """`answering`: senders may ask; `pause_s`: until what a destination does not commit to is sent to it again, by
        how often it was asked; `settle` returns once every instance that was answered for is in the ledger."""
        self._ledger, self._reporter, self._clock = ledger, reporter, clock
        self._answering, self._pause_s, self._settle = answering, pause_s, settle
        self._waiting: dict[Association, TheirAssociation] = {}
        self._lock = threading.Lock()

    @staticmethod
    def contexts() -> list[PresentationContext]:
        """Its presentation context; peers may be SCU (they ask) or SCP (they report to us)."""
        context = build_context(PUSH_MODEL, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        context.scu_role = context.scp_role = True
        return [context]

    def handlers(self) -> list[Handler]:
        """What pynetdicom calls for its messages."""
        return [(evt.EVT_N_ACTION, self._requested), (evt.EVT_N_EVENT_REPORT, self._answered)]

    def _requested(self, event: evt.Event) -> _Answer:
        """Answer an N-ACTION request: kept in the ledger, to be reported later (PS3.4 J.3.2)."""
        calling_aet = str(event.assoc.requestor.ae_title).strip()
        try:
            status, commitment_id = self._take(event, calling_aet)
        except CannotUnderstandError as error:
            status, commitment_id, reason = _INVALID_ARGUMENT, None, str(error)
        except NodeError as error:
            status, commitment_id, reason = _RESOURCE_LIMITATION, None, str(error)
        else:
            reason = "no such action or instance, or commitment.enabled is false"
        if commitment_id is None:
            log.warning(
                "commitment request not taken",
                extra={"ae_title": calling_aet, "status": f"{status:04X}", "reason": reason},
            )
        else:
            self._attend(event.assoc, commitment_id)
        return status, None

    def _take(self, event: evt.Event, calling_aet: str) -> tuple[int, int | None]:
        request = event.request
        if not self._answering:
            return _NOT_AUTHORISED, None
        if not isinstance(request, N_ACTION) or request.ActionTypeID != REQUEST_COMMITMENT:
            return _NO_SUCH_ACTION, None
        if request.RequestedSOPInstanceUID != PUSH_MODEL_INSTANCE:
            return _NO_SUCH_INSTANCE, None
        if request.ActionInformation is None:
            raise CannotUnderstandError("the request has no Action Information (PS3.4 J.3.2.1)")
        self._settle()
        asked = read_request(request.ActionInformation.getvalue(), str(event.context.transfer_syntax))
        found = self._reporter.keep(calling_aet, asked, due_at=self._clock() + timedelta(seconds=LONGEST_WAIT_S))
        log.info("commitment requested", extra={"ae_title": calling_aet, "instances": len(asked.references)})
        return SUCCESS, found

    def _answered(self, event: evt.Event) -> _Answer:
        """Take in an N-EVENT-REPORT: a destination commits to a report of ours, or does not (PS3.4 J.3.3)."""
        request, calling_aet = event.request, str(event.assoc.requestor.ae_title).strip()
        if not isinstance(request, N_EVENT_REPORT) or request.EventTypeID not in (ALL_COMMITTED, SOME_FAILED):
            return _NO_SUCH_EVENT, None
        try:
            if request.EventInformation is None:
                raise CannotUnderstandError("the report has no Event Information (PS3.4 J.3.3.1)")
            report = read_report(request.EventInformation.getvalue(), str(event.context.transfer_syntax))
            known = self._ledger.committed(
                report.transaction_uid,
                uids={one.sop_instance_uid for one in report.committed},
                reason=_refusal(report),
                now=self._clock(),
                pause_s=self._pause_s,
            )
        except CannotUnderstandError as error:
            status, reason = _INVALID_ARGUMENT, str(error)
        except NodeError as error:
            status, reason = _RESOURCE_LIMITATION, str(error)
        else:
            status, reason = (SUCCESS if known else _INVALID_ARGUMENT), "the transaction is none of ours"
        if status != SUCCESS:
            log.warning(
                "commitment of a destination not taken",
                extra={"ae_title": calling_aet, "status": f"{status:04X}", "reason": reason},
            )
        return status, None

    def _attend(self, association: Association, commitment_id: int) -> None:
        """Have a request reported on its association; one thread for all of an association's."""
        with self._lock:
            waiting = self._waiting.get(association)
            if waiting is not None:
                waiting.ids.append(commitment_id)
                return
            self._waiting[association] = waiting = TheirAssociation(association, commitment_id)
        threading.Thread(target=self._report, args=(association, waiting), name="commitment-here", daemon=True).start()

    def _report(self, association: Association, waiting: TheirAssociation) -> None:
        try:
            here = waiting.until_quiet()
            while (commitment_id := self._next(association, waiting)) is not None:
                if here and waiting.is_open:
                    self._reporter.report(commitment_id, waiting.tell)
                else:
                    self._ledger.hurry_commitment(commitment_id, now=self._clock() + _ROWS_LATE)
                    self._reporter.wake()
        except NodeError as error:  # they are due all the same, a little later
            log.warning("commitments not reported", extra={"reason": str(error)})
            with self._lock:
                self._waiting.pop(association, None)

    def _next(self, association: Association, waiting: TheirAssociation) -> int | None:
        with self._lock:
            if waiting.ids:
                return waiting.ids.pop(0)
            del self._waiting[association]
            return None


def _refusal(report: Report) -> str | None:
    if not report.failed:
        return None
    reasons = sorted({f"0x{one.reason:04X}" for one in report.failed})
    return f"the peer does not commit to {len(report.failed)} instances: {', '.join(reasons)} (PS3.3 C.14.1.1)"
