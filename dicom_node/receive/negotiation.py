"""Presentation contexts that were asked for before: the same peer asks for the same again, for up to 128 of them.

pynetdicom makes three objects of each, and checks the form of every UID in them several times: of an association that
brings one series, that is most of what is not about its instances. What is replaced of it here: the decoding of
presentation contexts in `A_ASSOCIATE_RQ`, and `negotiate_as_acceptor` where it has no roles to negotiate. Both do by
themselves what the stock ones do, once for each list of contexts, and remember that. Nothing else of a request is
remembered: who asks, and as whom, is decoded each time.
"""

# pynetdicom's own annotations leave some types open.
# pyright: reportUnknownMemberType=false

from functools import lru_cache
from struct import Struct
from typing import Any, Final, cast

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_items import PresentationContextItemRQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

_FIXED: Final = Struct(">BxLHxx16s16s32x")  # what goes before the items of a request (PS3.8 9.3.2)
_ITEM: Final = Struct(">BxH")  # type and length of an item
_CONTEXT: Final = 0x20  # Presentation Context Item (PS3.8 9.3.2.2)
_LONGEST_BYTES: Final = 1 << 15  # of contexts that are remembered: 128 with ten transfer syntaxes each
_TITLE: Final = b"ANY".ljust(16)
_TITLE_HAS: Final = frozenset(range(0x20, 0x7F)) - {ord("\\")}  # characters of VR AE (PS3.5 6.2)
_REMEMBERED: Final = 32  # lists of contexts

Supported = tuple[tuple[Any, ...], ...]


class KnownContexts(list[PresentationContext]):
    """The contexts of a request, and what was answered to them. Nobody changes one: associations share them."""

    answered: tuple[Supported, list[PresentationContext]] | None = None


class KnownRequest(A_ASSOCIATE_RQ):
    """An A-ASSOCIATE-RQ that decodes its contexts once for all that have the same."""

    _known: "tuple[list[PresentationContextItemRQ], KnownContexts] | None" = None

    def decode(self, bytestream: bytes) -> None:
        """Set the fields to what a PDU says (PS3.8 9.3.2)."""
        parts = _apart(bytestream)
        if parts is None:
            super().decode(bytestream)
            return
        contexts, rest = parts
        super().decode(bytestream[: _FIXED.size] + rest)
        self._known = _decoded(contexts)
        self.variable_items[1:1] = self._known[0]

    def to_primitive(self) -> A_ASSOCIATE:
        """What it says, as pynetdicom goes on with it."""
        if self._known is None:
            return super().to_primitive()
        items, contexts = self._known
        whole = cast("list[Any]", self.variable_items)
        self.variable_items = [whole[0], *whole[len(items) + 1 :]]
        primitive = super().to_primitive()
        self.variable_items = whole
        # Not by its setter, which copies the list: what was answered to these is remembered with it.
        cast("Any", primitive)._presentation_context_definition_list = contexts  # noqa: SLF001
        return primitive


def negotiated(
    requested: list[PresentationContext], supported: list[PresentationContext], roles: Any = None
) -> tuple[list[PresentationContext], list[Any]]:
    """The answer to contexts that were `requested`, and roles (PS3.7 D.3.3.4): `negotiate_as_acceptor`."""
    if roles or not isinstance(requested, KnownContexts):
        return negotiate_as_acceptor(requested, supported, roles)
    terms = tuple((one.abstract_syntax, *one.transfer_syntax, one.scu_role, one.scp_role) for one in supported)
    answered = requested.answered
    if answered is None or answered[0] != terms:
        answered = requested.answered = terms, negotiate_as_acceptor(requested, supported, roles)[0]
    return list(answered[1]), []


def wrong_title(request: bytes) -> str | None:
    """What is wrong with an AE title of an A-ASSOCIATE-RQ that cannot be decoded; None where both are right."""
    for name, begin in (("Called", 10), ("Calling", 26)):
        title = request[begin : begin + 16]
        if not title.strip(b" ") or not _TITLE_HAS.issuperset(title):
            shown = ascii(title.decode("latin-1").strip(" "))
            return f"{name} AE Title is {shown}; must be 1 to 16 characters of VR AE (PS3.8 9.3.2, PS3.5 6.2)"
    return None


def _apart(request: bytes) -> tuple[bytes, bytes] | None:
    """The presentation context items of a request, and its other items; None where pynetdicom is to see for itself."""
    contexts, rest = list[bytes](), list[bytes]()
    place = _FIXED.size
    while place + _ITEM.size <= len(request):
        kind, length = _ITEM.unpack_from(request, place)
        end = place + _ITEM.size + length
        (contexts if kind == _CONTEXT else rest).append(request[place:end])
        place = end
    found = b"".join(contexts)
    if place != len(request) or not contexts or not rest or len(found) > _LONGEST_BYTES:
        return None
    return found, b"".join(rest)


@lru_cache(maxsize=_REMEMBERED)
def _decoded(contexts: bytes) -> tuple[list[PresentationContextItemRQ], KnownContexts]:
    request = A_ASSOCIATE_RQ()
    request.decode(_FIXED.pack(0x01, 0, 1, _TITLE, _TITLE) + contexts)
    items = cast("list[PresentationContextItemRQ]", request.variable_items)
    return items, KnownContexts(request.to_primitive().presentation_context_definition_list)
