"""Presentation contexts that are known already give what pynetdicom gives for them, for every peer again."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, MRImageStorage
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import AllStoragePresentationContexts, PresentationContext, build_context
from pynetdicom.presentation import negotiate_as_acceptor as stock

from dicom_node.receive.negotiation import KnownContexts, KnownRequest, negotiated
from dicom_node.receive.storage_classes import presentation_contexts

SYNTAXES: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless]


def contexts(count: int = 128) -> list[PresentationContext]:
    found: list[PresentationContext] = []
    for number in range(count):
        uid = AllStoragePresentationContexts[number % 100].abstract_syntax if number else MRImageStorage
        assert uid is not None
        found.append(build_context(uid, SYNTAXES[: number % 3 + 1]))
        found[-1].context_id = 2 * number + 1
    return found


def request(asked: list[PresentationContext], *, calling: str = "SCANNER", secret: bytes = b"") -> bytes:
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = calling, "MRCLIP"
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, implementation.implementation_class_uid = 16384, "1.2.3"
    primitive.user_information = [length, implementation]
    if secret:
        identity = UserIdentityNegotiation()
        identity.user_identity_type, identity.primary_field, identity.secondary_field = 2, b"who", secret
        primitive.user_information.append(identity)
    primitive.presentation_context_definition_list = asked
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return pdu.encode()


def said(kind: type[A_ASSOCIATE_RQ], content: bytes) -> Any:
    """What a class makes of a request: its fields and its primitive's; None for an error, whichever: it is Evt19."""
    pdu = kind()
    try:
        pdu.decode(content)
        primitive = pdu.to_primitive()
    except Exception:  # noqa: BLE001 - as pynetdicom does
        return None
    fields = pdu.protocol_version, pdu.called_ae_title, pdu.calling_ae_title, pdu.variable_items
    values = {**vars(primitive), "_presentation_context_definition_list": None}
    return fields, values, list(primitive.presentation_context_definition_list)


def test_a_request_says_the_same_the_first_time_and_again():
    content = request(contexts())
    expected = said(A_ASSOCIATE_RQ, content)
    assert len(expected[2]) == 128
    for _ in range(2):
        assert said(KnownRequest, content) == expected


def test_who_asks_is_not_remembered():
    for calling, secret in (("ONE", b"first"), ("TWO", b"second"), ("ONE", b"")):
        content = request(contexts(3), calling=calling, secret=secret)
        assert said(KnownRequest, content) == said(A_ASSOCIATE_RQ, content)


def test_a_request_can_be_looked_at_after_its_primitive_was_made():
    known = KnownRequest()
    known.decode(request(contexts(5)))
    before = list(known.variable_items)
    known.to_primitive()
    assert known.variable_items == before
    assert len(known.presentation_context) == 5


@pytest.mark.parametrize("count", [0, 1])
def test_few_contexts_are_contexts_too(count: int):
    content = request(contexts(count))
    assert said(KnownRequest, content) == said(A_ASSOCIATE_RQ, content)


def test_more_than_is_remembered_is_left_to_pynetdicom():
    asked = contexts()
    for context in asked:
        context.transfer_syntax = [f"1.2.{'3' * 50}.{number}" for number in range(6)]
    content = request(asked)
    pdu = KnownRequest()
    pdu.decode(content)
    assert not isinstance(pdu.to_primitive().presentation_context_definition_list, KnownContexts)
    assert said(KnownRequest, content) == said(A_ASSOCIATE_RQ, content)


WHOLE = request(contexts(4))


@given(place=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255), cut=st.integers(0, 40))
@example(place=74, value=0x20, cut=0)  # no application context
@example(place=76, value=0xFF, cut=0)  # an item that is longer than the request
@example(place=162, value=0x00, cut=0)  # an item that does not exist
@example(place=len(WHOLE) - 1, value=0, cut=3)
def test_a_malformed_request_says_the_same_or_is_an_error_too(place: int, value: int, cut: int):
    content = bytearray(WHOLE)
    content[place] = value
    mutated = bytes(content[: len(content) - cut])
    ours, theirs = said(KnownRequest, mutated), said(A_ASSOCIATE_RQ, mutated)
    if theirs is None or ours is None:
        assert ours is theirs is None
    else:
        assert ours[1:] == theirs[1:]
        assert ours[0][:3] == theirs[0][:3]
        assert len(ours[0][3]) == len(theirs[0][3])


def known(asked: list[PresentationContext]) -> list[PresentationContext]:
    pdu = KnownRequest()
    pdu.decode(request(asked))
    return pdu.to_primitive().presentation_context_definition_list


def test_the_answer_is_that_of_pynetdicom_whatever_is_supported():
    asked = contexts()
    for supported in (
        presentation_contexts("refuse"),
        presentation_contexts("store"),
        [],
        [build_context(MRImageStorage, JPEG2000Lossless)],
        presentation_contexts("refuse"),
    ):
        results, roles = negotiated(known(asked), supported)
        expected, _ = stock(asked, supported)
        assert (results, roles) == (expected, [])
        assert [one.result for one in results] == [one.result for one in expected]
        assert [one.as_scp for one in results] == [one.as_scp for one in expected]


def test_roles_are_negotiated_each_time():
    asked, supported = contexts(2), presentation_contexts("refuse")
    for context in supported:
        context.scu_role, context.scp_role = True, True
    alone, _ = negotiated(known(asked), supported, {})
    proposed: list[dict[Any, Any]] = [{MRImageStorage: (True, True)}, {MRImageStorage: (False, True)}]
    for roles in proposed:
        results, replied = negotiated(known(asked), supported, roles)
        expected = stock(asked, supported, roles)
        assert (results, len(replied)) == (expected[0], len(expected[1]))
        assert [one.as_scu for one in results] == [one.as_scu for one in expected[0]]
    assert negotiated(known(asked), supported, {})[0] == alone == stock(asked, supported, {})[0]


def test_an_answer_is_a_list_of_its_own():
    asked, supported = known(contexts(3)), presentation_contexts("refuse")
    first, _ = negotiated(asked, supported)
    first.clear()
    assert len(negotiated(asked, supported)[0]) == 3
