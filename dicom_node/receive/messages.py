"""C-STORE messages taken apart and put together byte by byte, where pynetdicom builds data sets for each of them.

What these functions do not know they leave to pynetdicom: they return None then.
"""

from dataclasses import dataclass
from io import BytesIO
from struct import Struct, pack
from typing import Any, Final, cast

from pydicom import config
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_STORE

from inference.identifiers import is_uid

COMMAND_LAST: Final = b"\x03"  # of a fragment: all of a command set (PS3.8 E.2)
COMMAND, LAST = 0x01, 0x02  # bits of it

_DATA_PDU: Final = Struct(">BBLLB")  # P-DATA-TF with one item (PS3.8 9.3.5)
_ITEM: Final = Struct(">LB")
_ELEMENT: Final = Struct("<HHL")  # implicit VR little endian (PS3.7 6.3.1)
_SHORT: Final = Struct("<H")
_SHORTS: Final = Struct("<4H")
_ANSWER: Final = Struct("<HHLHHHLHHHLHHHLH")  # four elements of a short
_LONGEST_UID: Final = 64  # characters (PS3.5 9.1)
_NO_DATA_SET: Final = 0x0101
_STORE_REQUEST: Final = 0x0001
# The elements of a C-STORE request (PS3.7 9.3.1.1), and those that a C-MOVE adds, which say who asked for it.
_REQUEST: Final = (0x0000, 0x0002, 0x0100, 0x0110, 0x0700, 0x0800, 0x1000)
_MOVED: Final = (*_REQUEST, 0x1030, 0x1031)


def fragments(items: memoryview) -> list[tuple[int, memoryview]] | None:
    """Presentation context and value of each item of a P-DATA-TF PDU (PS3.8 9.3.5.1); None where they are malformed."""
    found: list[tuple[int, memoryview]] = []
    begin = 0
    while begin < len(items):
        if begin + _ITEM.size > len(items):
            return None
        length, context = _ITEM.unpack_from(items, begin)
        end = begin + 4 + length
        if length < 2 or end > len(items):
            return None
        found.append((context, items[begin + _ITEM.size : end]))
        begin = end
    return found or None


def data_pdu(context: int, value: bytes) -> bytes:
    """A P-DATA-TF PDU with one value."""
    return _DATA_PDU.pack(0x04, 0, len(value) + 5, len(value) + 1, context) + value


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreCommand:
    """What the command set of a C-STORE request says (PS3.7 9.3.1.1)."""

    message_id: int
    priority: int
    sop_class_uid: str
    sop_instance_uid: str  # as it came, if it is a UID or not: the intake refuses it with an answer


def store_command(command: memoryview) -> StoreCommand | None:
    """A command set, where it is that of a C-STORE request; None where it is not, or says more or less.

    pynetdicom would end the association over an instance's UID that is too long, and never answer an empty one.
    """
    values = _elements(command)
    if values is None or tuple(values) not in (_REQUEST, _MOVED):
        return None
    numbers = [values[element] for element in (0x0100, 0x0110, 0x0700, 0x0800)]
    if {*map(len, numbers)} != {_SHORT.size}:
        return None
    field, message_id, priority, data_set = _SHORTS.unpack(b"".join(numbers))
    sop_class, instance = _text(values[0x0002]), _text(values[0x1000])
    if field != _STORE_REQUEST or data_set == _NO_DATA_SET or not is_uid(sop_class) or priority > 2:
        return None
    return StoreCommand(message_id=message_id, priority=priority, sop_class_uid=sop_class, sop_instance_uid=instance)


def store_request(command: StoreCommand, context: int, data_set: BytesIO) -> C_STORE:
    """The request as pynetdicom makes it."""
    request = C_STORE()
    request.MessageID, request.Priority, request.DataSet = command.message_id, command.priority, data_set
    # The setters would look for the form of a UID once more, in the slow way.
    private = cast("Any", request)
    private._affected_sop_class_uid = UID(command.sop_class_uid, config.IGNORE)  # noqa: SLF001
    private._affected_sop_instance_uid = UID(command.sop_instance_uid, config.IGNORE)  # noqa: SLF001
    private._context_id = context  # noqa: SLF001
    return request


def store_response(command: StoreCommand, status: int) -> bytes:
    """The command set of the response to a C-STORE request (PS3.7 9.3.1.2)."""
    elements = b"".join(
        (
            _uid_element(0x0002, command.sop_class_uid),
            _ANSWER.pack(
                *(0, 0x0100, 2, 0x8001),  # Command Field: C-STORE-RSP
                *(0, 0x0120, 2, command.message_id),
                *(0, 0x0800, 2, _NO_DATA_SET),
                *(0, 0x0900, 2, status),
            ),
            _uid_element(0x1000, command.sop_instance_uid),
        )
    )
    return pack("<HHLL", 0, 0, 4, len(elements)) + elements


def _elements(command: memoryview) -> dict[int, memoryview] | None:
    """The values of a command set by their element number, in its order."""
    values: dict[int, memoryview] = {}
    begin = 0
    while begin < len(command):
        if begin + _ELEMENT.size > len(command):
            return None
        group, element, length = _ELEMENT.unpack_from(command, begin)
        begin += _ELEMENT.size
        if group != 0 or element in values or begin + length > len(command):
            return None
        values[element] = command[begin : begin + length]
        begin += length
    return values


def _text(value: memoryview) -> str:
    """What stands where a UID should; nothing where a response could not repeat it."""
    text = bytes(value).rstrip(b"\x00 ").decode("ascii", "replace")
    return text if len(text) <= _LONGEST_UID and text.isascii() else ""


def _uid_element(element: int, uid: str) -> bytes:
    value = uid.encode("ascii")
    value += b"\x00" * (len(value) % 2)
    return pack("<HHL", 0, element, len(value)) + value
