"""Asking a storage SCP to commit to what it took (PS3.4 J.3.2). It answers later, to our own port or not at all."""

from dataclasses import dataclass

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.presentation import build_context

from dicom_node.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, Request
from dicom_node.commitment.messages import REQUEST_COMMITMENT, request_data_set
from dicom_node.deliver import DeliveryError
from dicom_node.deliver.scu import AssociationEndedError, Peer, association

_PASSING = (0x0110, 0x0213)  # processing failure, resource limitation (PS3.7 C.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class DicomCommitter:
    """Sends N-ACTION to `peer` on an association of its own, and does not wait there for the report."""

    peer: Peer

    def ask(self, request: Request) -> None:
        """Ask; DeliveryError where the question is not taken."""
        context = build_context(PUSH_MODEL, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        try:
            with association(self.peer, [context]) as link:
                status, _ = link.send_n_action(
                    request_data_set(request), REQUEST_COMMITMENT, PUSH_MODEL, PUSH_MODEL_INSTANCE
                )
        except RuntimeError as error:
            raise AssociationEndedError from error
        except DeliveryError as error:
            raise DeliveryError(f"Storage Commitment: {error}", retry=error.retry) from error
        if "Status" not in status:
            raise AssociationEndedError
        code = int(status.Status)
        if code != 0x0000:
            raise DeliveryError(f"Storage Commitment: the peer answered status 0x{code:04X}", retry=code in _PASSING)
