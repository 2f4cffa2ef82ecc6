"""A peer without manners: the bytes of the upper layer, said as a test wants them said (PS3.8 9.3)."""

import socket
import struct
from collections.abc import Sequence

from pydicom.uid import ImplicitVRLittleEndian, MRImageStorage
from pynetdicom.pdu import A_ASSOCIATE_RQ, P_DATA_TF
from pynetdicom.pdu_items import PresentationDataValueItem
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context

RELEASE_REQUEST = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
FOUR_GIB_CLAIM = b"\x04\x00\xff\xff\xff\xff"  # the head of a P-DATA-TF
ACCEPTED, ABORTED = 0x02, 0x07  # PDU types
CONTEXTS = ((MRImageStorage, ImplicitVRLittleEndian),)


def association_request(called: str = "MRCLIP", *, contexts: Sequence[tuple[str, str]] = CONTEXTS) -> bytes:
    """An A-ASSOCIATE-RQ for pairs of SOP class and transfer syntax, numbered 1, 3, 5, ... (PS3.8 9.3.2)."""
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title, request.called_ae_title = "SCRIPTED", called
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16384
    implementation.implementation_class_uid = "1.2.3"
    request.user_information = [length, implementation]
    asked = [build_context(sop_class, syntax) for sop_class, syntax in contexts]
    for number, context in enumerate(asked):
        context.context_id = 2 * number + 1
    request.presentation_context_definition_list = asked
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(request)
    return pdu.encode()


def data_pdu(fragment: bytes, *, control: int, context: int = 1) -> bytes:
    """A P-DATA-TF with one fragment (PS3.8 9.3.5, E.2)."""
    item = PresentationDataValueItem()
    item.presentation_context_id, item.presentation_data_value = context, bytes([control]) + fragment
    pdu = P_DATA_TF()
    pdu.presentation_data_value_items = [item]
    return pdu.encode()


def store_command(instance: bytes, *, sop_class: bytes = MRImageStorage.encode()) -> bytes:
    """The command set of a C-STORE request for whatever is to pass for an instance's UID (PS3.7 9.3.1.1)."""
    values = {
        0x0002: sop_class, 0x0100: b"\x01\x00", 0x0110: b"\x07\x00", 0x0700: b"\x00\x00", 0x0800: b"\x00\x00",
        0x1000: instance,
    }  # fmt: skip
    elements = b""
    for element, value in values.items():
        padded = value + b"\x00" * (len(value) % 2)
        elements += struct.pack("<HHL", 0, element, len(padded)) + padded
    return struct.pack("<HHLL", 0, 0, 4, len(elements)) + elements


def receive(link: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes."""
    received = b""
    while len(received) < count:
        chunk = link.recv(count - len(received))
        assert chunk, "the node closed the connection"
        received += chunk
    return received


def receive_pdu(link: socket.socket) -> bytes:
    """The next PDU, whole."""
    head = receive(link, 6)
    return head + receive(link, struct.unpack(">L", head[2:])[0])


def ended(link: socket.socket) -> bytes:
    """Everything that still comes until the node closes the connection."""
    received = b""
    while True:
        try:
            chunk = link.recv(4096)
        except ConnectionResetError:
            return received
        if not chunk:
            return received
        received += chunk


def associated(port: int, contexts: Sequence[tuple[str, str]] = CONTEXTS) -> socket.socket:
    """A connection with an accepted association."""
    link = socket.create_connection(("127.0.0.1", port), timeout=60)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small PDUs would wait 40 ms for one another
    link.sendall(association_request(contexts=contexts))
    answer = receive_pdu(link)
    assert answer[0] == ACCEPTED, answer[:10]
    return link
