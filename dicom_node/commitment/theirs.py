"""An association on which a peer asked for commitment, and which may take the report (PS3.4 J.3.3).

pynetdicom's own way to send a report from the accepting side stops everything else on the association until the answer
is there: a release would hang, and a request that crosses the report would end it. Here the association goes on as it
was, and the answer is seen as it passes.
"""

# pynetdicom's own annotations leave some types open.
# pyright: reportUnknownMemberType=false

import threading
import time
from io import BytesIO
from typing import Final

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode

from dicom_node.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, Report
from dicom_node.commitment.messages import report_data_set
from dicom_node.deliver import DeliveryError
from dicom_node.deliver.scu import AssociationEndedError

_QUIET_S: Final = 0.5  # who says nothing for so long waits for its reports
LONGEST_WAIT_S: Final = 30.0  # for an association to fall quiet or to end
_ANSWER_S: Final = 30.0
_POLL_S: Final = 0.05


class TheirAssociation:
    """One association that we accepted, and the requests that came on it."""

    def __init__(self, association: Association, commitment_id: int) -> None:
        self.ids = [commitment_id]
        self._association = association
        self._heard_at = time.monotonic()
        self._message_id = 0
        self._status = 0x0000
        self._answered = threading.Event()
        association.bind(evt.EVT_DIMSE_RECV, self._heard)

    def until_quiet(self) -> bool:
        """Wait until nothing was said for a moment; False where the association ends first, or never falls quiet."""
        give_up_at = time.monotonic() + LONGEST_WAIT_S
        while self.is_open and time.monotonic() < give_up_at:
            if time.monotonic() - self._heard_at >= _QUIET_S:
                return True
            self._association.join(_POLL_S)
        return False

    @property
    def is_open(self) -> bool:
        """Whether something can be said on it."""
        return self._association.is_established and self._association.is_alive()

    def tell(self, report: Report) -> None:
        """Send a report and wait for the answer; DeliveryError where it is not taken."""
        if not self.is_open:
            raise AssociationEndedError
        self._answered.clear()
        self._message_id = self._message_id % 0xFFFF + 1
        context = next(one for one in self._association.accepted_contexts if one.abstract_syntax == PUSH_MODEL)
        request = _request(report, self._message_id, context.transfer_syntax[0])
        self._association.dimse.send_msg(request, context.context_id or 0)
        give_up_at = time.monotonic() + _ANSWER_S
        while not self._answered.wait(_POLL_S):
            if not self.is_open or time.monotonic() > give_up_at:
                raise AssociationEndedError
        if self._status != 0x0000:
            raise DeliveryError(f"the peer answered the report with status 0x{self._status:04X}", retry=True)

    def _heard(self, event: evt.Event) -> None:
        self._heard_at = time.monotonic()
        message = event.message
        if isinstance(message, N_EVENT_REPORT_RSP):
            command = message.command_set
            if command.get("MessageIDBeingRespondedTo") == self._message_id:
                self._status = int(command.get("Status", 0x0110))
                self._answered.set()


def _request(report: Report, message_id: int, syntax: UID) -> N_EVENT_REPORT:
    event_type, data_set = report_data_set(report)
    encoded = encode(data_set, syntax.is_implicit_VR, syntax.is_little_endian)
    request = N_EVENT_REPORT()
    request.MessageID = message_id
    request.AffectedSOPClassUID = PUSH_MODEL
    request.AffectedSOPInstanceUID = PUSH_MODEL_INSTANCE
    request.EventTypeID = event_type
    request.EventInformation = BytesIO(encoded or b"")
    return request
