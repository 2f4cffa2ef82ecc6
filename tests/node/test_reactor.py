"""What is replaced of pynetdicom says the same as what it replaces, and sleeps where that one looks around."""

import socket
import threading
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ, C_STORE_RSP
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_ASSOCIATE_RQ, P_DATA_TF
from pynetdicom.pdu_items import PresentationDataValueItem
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context

from dicom_factory import mr_image
from dicom_node.receive.intake import Intake
from dicom_node.receive.messages import StoreCommand, store_response
from dicom_node.receive.part10 import IMPLEMENTATION_VERSION_NAME
from dicom_node.receive.reactor import WaitingDul
from dicom_node.receive.storage_classes import presentation_contexts
from dicom_node.report.uids import IMPLEMENTATION_CLASS_UID
from peers import wait_for

Start = Callable[..., Any]

RELEASE = bytes.fromhex("05000000000400000000")
ABORT = bytes.fromhex("07000000000400000000")
NONSENSE = bytes.fromhex("44000000000400000000")


def request() -> bytes:
    """An A-ASSOCIATE-RQ for MR images (PS3.8 9.3.2)."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "SCRIPTED", "MRCLIP"
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, implementation.implementation_class_uid = 16384, "1.2.3"
    primitive.user_information = [length, implementation]
    context = build_context(MRImageStorage, ImplicitVRLittleEndian)
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return pdu.encode()


def store(image: Dataset, message_id: int) -> bytes:
    """A C-STORE request, fragment by fragment."""
    primitive = C_STORE()
    primitive.MessageID, primitive.Priority = message_id, 2
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    data_set = encode(image, True, True)
    assert data_set is not None
    primitive.DataSet = BytesIO(data_set)
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    sent = b""
    for data in message.encode_msg(1, 4096):
        for context, value in data.presentation_data_value_list:
            item = PresentationDataValueItem()
            item.presentation_context_id, item.presentation_data_value = context, value
            pdu = P_DATA_TF()
            pdu.presentation_data_value_items = [item]
            sent += pdu.encode()
    return sent


def values(image: Dataset, message_id: int) -> list[bytes]:
    """The values of the fragments of a C-STORE request, a command set and some of a data set."""
    found, pdus = [], store(image, message_id)
    while pdus:
        length = int.from_bytes(pdus[2:6], "big")
        found.append(pdus[11 : 6 + length])
        pdus = pdus[6 + length :]
    return found


def in_one(*some: bytes, context: int = 1) -> bytes:
    """A P-DATA-TF PDU with several values (PS3.8 9.3.5)."""
    items = b"".join((len(value) + 1).to_bytes(4, "big") + bytes([context]) + value for value in some)
    return b"\x04\x00" + len(items).to_bytes(4, "big") + items


def echo(message_id: int) -> bytes:
    """The command set of a C-ECHO request, as one value."""
    primitive = C_ECHO()
    primitive.MessageID, primitive.AffectedSOPClassUID = message_id, "1.2.840.10008.1.1"
    message = C_ECHO_RQ()
    message.primitive_to_message(primitive)
    (data,) = message.encode_msg(1, 4096)
    ((_, value),) = data.presentation_data_value_list
    return value


def said(port: int, *parts: tuple[bytes, int]) -> bytes:
    """Everything that is answered to `parts`: bytes to send, and how many PDUs to wait for before the next ones.

    A release that overtakes an answer may come before it or after it, in either implementation.
    """
    answers = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        for part, expected in parts:
            link.sendall(part)
            for _ in range(expected):
                if not (pdu := one_pdu(link)):
                    return answers
                answers += pdu
        link.shutdown(socket.SHUT_WR)
        while chunk := link.recv(65536):
            answers += chunk
    return answers


def one_pdu(link: socket.socket) -> bytes:
    """The next PDU: type, a reserved byte, length, content (PS3.8 9.3.1); nothing at the end of the connection."""
    pdu, length = b"", 6
    while len(pdu) < length:
        if not (chunk := link.recv(length - len(pdu))):
            return b""
        pdu += chunk
        if len(pdu) == 6:
            length += int.from_bytes(pdu[2:6], "big")
    return pdu


ONE, TWO = values(mr_image(index=0), 1), values(mr_image(index=1), 2)
CONVERSATIONS = {
    "release": [(request(), 1), (RELEASE, 1)],
    "store and release": [
        (request(), 1), *((store(mr_image(index=index), index + 1), 1) for index in range(3)), (RELEASE, 1),
    ],
    "two messages at once": [
        (request(), 1), (store(mr_image(index=0), 1) + store(mr_image(index=1), 2), 2), (RELEASE, 1),
    ],
    "all in one PDU": [(request(), 1), (in_one(*ONE), 1), (RELEASE, 1)],
    "a PDU for each": [(request(), 1), (b"".join(map(in_one, ONE)), 1), (RELEASE, 1)],
    "a command in two fragments": [
        (request(), 1), (in_one(b"\x01" + ONE[0][1:30]) + in_one(b"\x03" + ONE[0][30:], *ONE[1:]), 1), (RELEASE, 1),
    ],
    "an empty fragment at the end": [
        (request(), 1), (in_one(*ONE[:-1], b"\x00" + ONE[-1][1:]) + in_one(b"\x02"), 1), (RELEASE, 1),
    ],
    "a command within a data set": [(request(), 1), (in_one(*ONE[:2]) + in_one(echo(7)), 1), (RELEASE, 1)],
    "a message behind another in one PDU": [(request(), 1), (in_one(*ONE, *TWO) + in_one(*TWO), 2), (RELEASE, 1)],
    "a context that was not proposed": [(request(), 1), (in_one(*ONE, context=3), 1)],
    "an echo between": [(request(), 1), (in_one(*ONE), 1), (in_one(echo(5)), 1), (in_one(*TWO), 1), (RELEASE, 1)],
    "an item longer than its PDU": [(request(), 1), (b"\x04\x00\x00\x00\x00\x08\x00\x00\x00\x09\x01\x03ab", 1)],
    "nonsense": [(request(), 1), (NONSENSE, 1)],
    "request twice": [(request(), 1), (request(), 1)],
}  # fmt: skip


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_a_conversation_goes_as_with_the_stock_classes(receiver: Start, conversation: str):
    node = receiver()
    stock = AE(ae_title="MRCLIP")
    stock.supported_contexts = presentation_contexts("refuse")
    stock.maximum_pdu_size = 131072
    stock.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    stock.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    server = stock.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda event: 0)])
    try:
        parts = CONVERSATIONS[conversation]
        assert said(node.port, *parts) == said(server.server_address[1], *parts)
    finally:
        server.shutdown()


def test_an_abort_ends_the_association_and_leaves_no_thread(receiver: Start):
    node = receiver()
    with socket.create_connection(("127.0.0.1", node.port), timeout=20) as link:
        link.sendall(request())
        assert link.recv(65536)[:1] == b"\x02"
        link.sendall(ABORT)
        assert link.recv(1) == b""
    wait_for(lambda: not node.scp._server.active_associations, what="the association ending")


@pytest.mark.parametrize("status", [0x0000, 0xA700, 0xC000, 0x0111])
@pytest.mark.parametrize("uid", ["1.2.3.4", "1.2.3.45"], ids=["odd", "even"])
def test_the_answer_to_a_store_has_the_bytes_of_the_stock_one(status: int, uid: str):
    response = C_STORE()
    response.MessageID = response.MessageIDBeingRespondedTo = 65535
    response.AffectedSOPClassUID, response.AffectedSOPInstanceUID = MRImageStorage, uid
    response.Status = status
    message = C_STORE_RSP()
    message.primitive_to_message(response)
    (data,) = message.encode_msg(1, 16384)
    ((context, value),) = data.presentation_data_value_list
    assert context == 1
    command = StoreCommand(message_id=65535, priority=0, sop_class_uid=MRImageStorage, sop_instance_uid=uid)
    assert b"\x03" + store_response(command, status) == value


def test_a_handler_that_fails_is_answered_as_by_the_stock_class(
    receiver: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(*_: object) -> int:
        raise ValueError("Doe^Jane")

    node = receiver()
    stock = AE(ae_title="MRCLIP")
    stock.supported_contexts = presentation_contexts("refuse")
    server = stock.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, fail)])
    monkeypatch.setattr(Intake, "take", fail)
    parts = [(request(), 1), (in_one(*ONE), 1), (in_one(*TWO), 1), (RELEASE, 1)]
    try:
        answers = [said(port, *parts) for port in (node.port, server.server_address[1])]
    finally:
        server.shutdown()
    ours, theirs = (answer[6 + int.from_bytes(answer[2:6], "big") :] for answer in answers)  # behind the acceptance
    assert ours == theirs
    assert b"\x00\x09\x02\x00\x00\x00\x11\xc2" in ours  # Status (0000,0900)
    mine = [record for record in caplog.records if record.name.startswith("dicom_node")]
    assert "a request to store is not served" in {record.message for record in mine}
    assert not any("Doe" in str(vars(record)) for record in mine)


def test_nobody_sleeps_between_instances_that_are_there(receiver: Start, monkeypatch: pytest.MonkeyPatch):
    sleep, slept = time.sleep, []

    def counted(seconds: float) -> None:
        if isinstance(threading.current_thread(), WaitingDul):
            slept.append(seconds)
        sleep(seconds)

    node, count = receiver(), 30
    monkeypatch.setattr(time, "sleep", counted)
    sent = b"".join(store(mr_image(index=index), index + 1) for index in range(count))
    answers = said(node.port, (request(), 1), (sent, count), (RELEASE, 1))
    assert answers.endswith(RELEASE.replace(b"\x05", b"\x06", 1))
    assert len(slept) < count


def test_idle_associations_sleep(receiver: Start):
    node = receiver()
    links = [socket.create_connection(("127.0.0.1", node.port), timeout=20) for _ in range(8)]
    for link in links:
        link.sendall(request())
        assert link.recv(65536)[:1] == b"\x02"
    end, spent = time.monotonic() + 1, time.process_time()
    wait_for(lambda: time.monotonic() > end, what="a second")
    spent = time.process_time() - spent
    for link in links:
        link.close()
    assert spent < 0.25  # the stock classes take more than a whole second for it
