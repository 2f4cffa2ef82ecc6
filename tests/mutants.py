"""Data sets and PDUs that were damaged on purpose, thrown at a node; what became of each.

Every mutant is drawn from a seed. The data sets are those of images as scanners send them, in several encodings.
"""

import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pydicom import Dataset
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
)
from pynetdicom.dsutils import encode

from dicom_factory import enhanced_mr, mr_image
from scripted_peer import RELEASE_REQUEST, associated, association_request, data_pdu, receive_pdu

SYNTAXES: Final = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless)
CONTEXTS: Final = tuple((sop_class, uid) for sop_class in (MRImageStorage, EnhancedMRImageStorage) for uid in SYNTAXES)
_A_SERIES: Final = 20  # mutants that share a Series Instance UID
_FRAGMENT_BYTES: Final = 16000
_LENGTHS: Final = (0, 1, 2, 3, 0xFE, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_VRS: Final = (*b"SQ UN OB OW UI US DS IS PN FD AT UT xx".split(), bytes(2))
_VALUES: Final = (
    b"../../etc/passwd",
    b"\x1b$B\x00",
    b"1" * 80,
    b"\\" * 40,
    b"\xff" * 12,
    b"1e999",
    b"NaN",
    b"-1",
    b" ",
)
_LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_UNDEFINED: Final = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True)
class Original:
    """A data set that is as it should be, and where its elements are: the offsets of each header and its value."""

    context: int
    sop_instance_uid: str
    encoded: bytes
    elements: tuple[tuple[int, int], ...]

    @property
    def syntax(self) -> UID:
        """Its transfer syntax."""
        return CONTEXTS[self.context][1]

    @property
    def order(self) -> str:
        """Its byte order, as `struct` has it."""
        return ">" if self.syntax == ExplicitVRBigEndian else "<"


@dataclass(kw_only=True)
class Toll:
    """What became of everything that was sent."""

    statuses: Counter[str] = field(default_factory=Counter[str])  # that answered data sets
    damages: Counter[str] = field(default_factory=Counter[str])  # how they were damaged
    ends: Counter[str] = field(default_factory=Counter[str])  # of conversations with damaged PDUs, by what came last


def bombard(port: int, *, data_sets: int, pdus: int, seed: int) -> Toll:
    """Send so many mutants of each kind to a node, one after the other."""
    dice, toll = random.Random(seed), Toll()
    originals = [original(number) for number in range(len(CONTEXTS))]
    kinds = list(DAMAGES)
    link = associated(port, CONTEXTS)
    for number in range(data_sets):
        chosen, kind = renumbered(dice.choice(originals), number), dice.choice(kinds)
        context = dice.randrange(len(CONTEXTS)) if kind == "another presentation context" else chosen.context
        status = store(link, chosen, DAMAGES[kind](chosen, dice), context)
        toll.damages[kind] += 1
        toll.statuses[status] += 1
        if status == ENDED:
            link.close()
            link = associated(port, CONTEXTS)
    link.close()
    toll.ends.update(converse(port, dice) for _ in range(pdus))
    return toll


ENDED: Final = "association ended"


def original(context: int) -> Original:
    """An image for a presentation context (by its place in `CONTEXTS`)."""
    sop_class, syntax = CONTEXTS[context]
    image = mr_image() if sop_class == MRImageStorage else enhanced_mr(3)
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = MRImageStorage, "1.2.3"
    image.ReferencedImageSequence = [item, item]
    image.SOPInstanceUID, image.SeriesInstanceUID = _uids(0)
    if syntax.is_compressed:
        image.compress(syntax, generate_instance_uid=False)
    encoded = encode(image, syntax.is_implicit_VR, syntax.is_little_endian)
    assert encoded is not None
    made = Original(context=context, sop_instance_uid=str(image.SOPInstanceUID), encoded=encoded, elements=())
    return replace(made, elements=tuple(_elements(made)))


def renumbered(one: Original, number: int) -> Original:
    """The same as instance `number`, in the series that it shares with some others."""
    encoded = one.encoded
    for old, new in zip(_uids(0), _uids(number), strict=True):
        encoded = encoded.replace(old.encode(), new.encode())
    return replace(one, encoded=encoded, sop_instance_uid=_uids(number)[0])


def _uids(number: int) -> tuple[str, str]:  # all of one length
    return f"1.2.826.0.1.1.{10**9 + number}", f"1.2.826.0.1.2.{10**9 + number // _A_SERIES}"


def _elements(one: Original) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    at, length = 0, 0
    while at < len(one.encoded) and length != _UNDEFINED:
        long = one.syntax.is_implicit_VR or one.encoded[at + 4 : at + 6] in _LONG_VRS
        value = at + (12 if long and not one.syntax.is_implicit_VR else 8)
        size = 4 if long else 2
        (length,) = struct.unpack(one.order + ("L" if long else "H"), one.encoded[value - size : value])
        found.append((at, value))
        at = value + length
    return found


def _ends(one: Original) -> list[int]:
    return [*(header for header, _ in one.elements[1:]), len(one.encoded)]


def _changed(one: Original, dice: random.Random) -> bytes:
    damaged = bytearray(one.encoded)
    for _ in range(dice.randint(1, 8)):
        damaged[dice.randrange(min(len(damaged), dice.choice((200, 2000, len(damaged)))))] = dice.randrange(256)
    return bytes(damaged)


def _cut(one: Original, dice: random.Random) -> bytes:
    return one.encoded[: dice.randrange(len(one.encoded))]


def _length(one: Original, dice: random.Random) -> bytes:
    header, value = dice.choice(one.elements)
    size = 4 if one.syntax.is_implicit_VR or value - header == 12 else 2
    lie = struct.pack(one.order + "L", dice.choice(_LENGTHS))
    return one.encoded[: value - size] + (lie[:size] if one.order == "<" else lie[-size:]) + one.encoded[value:]


def _vr(one: Original, dice: random.Random) -> bytes:
    header, _ = dice.choice(one.elements)
    return one.encoded[: header + 4] + dice.choice(_VRS) + one.encoded[header + 6 :]


def _value(one: Original, dice: random.Random) -> bytes:
    place = dice.randrange(len(one.elements))
    begin, end = one.elements[place][1], _ends(one)[place]
    other = dice.choice((dice.choice(_VALUES), dice.randbytes(8)))
    return one.encoded[:begin] + (other * (end - begin))[: end - begin] + one.encoded[end:]


def _nested(one: Original, dice: random.Random) -> bytes:
    at = dice.choice([header for header, _ in one.elements])
    depth = dice.choice((1, 10, 63, 64, 65, 500, 5000))
    pack, vr = struct.Struct(one.order + "HH").pack, b"" if one.syntax.is_implicit_VR else b"SQ\x00\x00"
    undefined, none = struct.pack(one.order + "L", _UNDEFINED), bytes(4)
    begin = pack(0x0008, 0x1140) + vr + undefined + pack(0xFFFE, 0xE000) + undefined
    end = pack(0xFFFE, 0xE00D) + none + pack(0xFFFE, 0xE0DD) + none
    return one.encoded[:at] + begin * depth + end * dice.choice((depth, depth, depth - 1, 0)) + one.encoded[at:]


def _disorder(one: Original, dice: random.Random) -> bytes:
    parts = [one.encoded[begin:end] for (begin, _), end in zip(one.elements, _ends(one), strict=True)]
    first, second = dice.randrange(len(parts)), dice.randrange(len(parts))
    parts[first] = parts[first] * 2 if first == second else parts[second]
    return b"".join(parts)


DAMAGES: Final[Mapping[str, Callable[[Original, random.Random], bytes]]] = {
    "bytes changed": _changed,
    "cut short": _cut,
    "a length that lies": _length,
    "another VR": _vr,
    "another value": _value,
    "sequences in sequences": _nested,
    "elements in disorder": _disorder,
    "another presentation context": lambda one, _dice: one.encoded,
    "random bytes": lambda _one, dice: dice.randbytes(dice.randrange(3000)),
}


def store(link: socket.socket, one: Original, data_set: bytes, context: int) -> str:
    """C-STORE `data_set` as if it were the original; the status that answers it, or `ENDED`."""
    number = 2 * context + 1
    try:
        link.sendall(data_pdu(store_command(CONTEXTS[context][0], one.sop_instance_uid), control=3, context=number))
        for begin in range(0, max(1, len(data_set)), _FRAGMENT_BYTES):
            fragment = data_set[begin : begin + _FRAGMENT_BYTES]
            last = begin + _FRAGMENT_BYTES >= len(data_set)
            link.sendall(data_pdu(fragment, control=2 if last else 0, context=number))
        answer = receive_pdu(link)
    except (ConnectionError, AssertionError):
        return ENDED
    status = answer.partition(b"\x00\x00\x00\x09\x02\x00\x00\x00")[2][:2]  # Status (0000,0900)
    return ENDED if len(status) < 2 else f"{struct.unpack('<H', status)[0]:04X}"


def store_command(sop_class: str, sop_instance: str) -> bytes:
    """The command set of a C-STORE request (PS3.7 9.3.1.1)."""
    elements = b"".join(
        (
            _uid(0x0002, sop_class),
            struct.pack("<HHLH", 0, 0x0100, 2, 0x0001),
            struct.pack("<HHLH", 0, 0x0110, 2, 1),
            struct.pack("<HHLH", 0, 0x0700, 2, 0),
            struct.pack("<HHLH", 0, 0x0800, 2, 1),
            _uid(0x1000, sop_instance),
        )
    )
    return struct.pack("<HHLL", 0, 0, 4, len(elements)) + elements


def _uid(element: int, uid: str) -> bytes:
    value = uid.encode() + b"\x00" * (len(uid) % 2)
    return struct.pack("<HHL", 0, element, len(value)) + value


def converse(port: int, dice: random.Random) -> str:
    """Say damaged PDUs in some state of an association and hang up; what the node said last before it did."""
    state = dice.choice(("no association", "association", "message", "release"))
    if state == "no association":
        link = socket.create_connection(("127.0.0.1", port), timeout=60)
    else:
        link = associated(port, CONTEXTS)
    with link:
        said = b""
        try:
            if state == "message":
                link.sendall(data_pdu(store_command(MRImageStorage, "1.2.3"), control=3))
            elif state == "release":
                link.sendall(RELEASE_REQUEST)
            for _ in range(dice.randint(1, 3)):
                link.sendall(_damaged_pdu(dice))
            link.shutdown(socket.SHUT_WR)
            while chunk := link.recv(65536):
                said += chunk
        except TimeoutError:
            return "nothing for a minute"
        except OSError:  # it hung up first
            pass
    return _last_pdu(said)


def _damaged_pdu(dice: random.Random) -> bytes:
    pdu = dice.choice(
        (
            association_request(contexts=CONTEXTS),
            data_pdu(store_command(MRImageStorage, "1.2.3"), control=dice.choice((1, 3))),
            data_pdu(dice.randbytes(300), control=dice.randrange(256), context=dice.randrange(1, 256)),
            RELEASE_REQUEST,
            b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # A-RELEASE-RP
            b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # A-ABORT
            b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x01",  # A-ASSOCIATE-RJ
            dice.randbytes(dice.randrange(1, 200)),
        )
    )
    damaged = bytearray(pdu)
    match dice.randrange(5):
        case 0:
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        case 1:
            del damaged[dice.randrange(len(damaged)) :]
        case 2:
            damaged[2:6] = struct.pack(">L", dice.choice(_LENGTHS))
        case 3:
            at, size = dice.randrange(len(damaged)), dice.choice((2, 4))
            damaged[at : at + size] = struct.pack(">L", dice.choice(_LENGTHS))[-size:]
        case _:
            damaged += dice.randbytes(dice.randrange(20))
    return bytes(damaged)


_PDU_NAMES: Final = {2: "acceptance", 3: "rejection", 4: "message", 6: "release", 7: "abort"}


def _last_pdu(said: bytes) -> str:
    name = "nothing"
    while len(said) >= 6:
        name = _PDU_NAMES.get(said[0], "no PDU")
        said = said[6 + struct.unpack(">L", said[2:6])[0] :]
    return name
