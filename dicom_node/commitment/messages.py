"""Requests and reports as the data sets that carry them (PS3.4 J.3.2.1 and J.3.3.1), read within bounds."""

import struct
from collections.abc import Iterable
from io import BytesIO
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_node.commitment import (
    PROCESSING_FAILURE,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    Failure,
    Reference,
    Report,
    Request,
)
from dicom_node.errors import CannotUnderstandError
from dicom_node.receive.part10 import file_meta
from inference.identifiers import is_uid
from inference.parsing import ParseError, parse

REQUEST_COMMITMENT: Final = 1  # Action Type ID (PS3.4 J.3.2)
ALL_COMMITTED: Final = 1  # Event Type ID (PS3.4 J.3.3)
SOME_FAILED: Final = 2

_LONGEST_BYTES: Final = 32 << 20  # 200,000 references
# What pydicom raises for values that are not what their elements say.
_UNREADABLE: Final = (AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError, struct.error)


def request_data_set(request: Request) -> Dataset:
    """Action Information."""
    data_set = Dataset()
    data_set.TransactionUID = request.transaction_uid
    data_set.ReferencedSOPSequence = _sequence(_item(reference) for reference in request.references)
    return data_set


def report_data_set(report: Report) -> tuple[int, Dataset]:
    """Event Type ID and Event Information."""
    data_set = Dataset()
    data_set.TransactionUID = report.transaction_uid
    if report.committed:
        data_set.ReferencedSOPSequence = _sequence(_item(reference) for reference in report.committed)
    if report.failed:
        data_set.FailedSOPSequence = _sequence(_item(one.reference, one.reason) for one in report.failed)
    return (SOME_FAILED if report.failed else ALL_COMMITTED), data_set


def read_request(encoded: bytes, transfer_syntax_uid: str) -> Request:
    """The request in encoded Action Information; CannotUnderstandError where it is none."""
    data_set = _decode(encoded, transfer_syntax_uid)
    try:
        references = tuple(_reference(item) for item in data_set.get("ReferencedSOPSequence") or ())
    except _UNREADABLE as error:
        raise _not_readable(error) from error
    if not references:
        raise CannotUnderstandError("ReferencedSOPSequence (0008,1199) is missing or empty (PS3.4 J.3.2.1)")
    return Request(transaction_uid=_transaction(data_set), references=references)


def read_report(encoded: bytes, transfer_syntax_uid: str) -> Report:
    """The report in encoded Event Information; CannotUnderstandError where it is none."""
    data_set = _decode(encoded, transfer_syntax_uid)
    try:
        committed = tuple(_reference(item) for item in data_set.get("ReferencedSOPSequence") or ())
        failed = tuple(_failure(item) for item in data_set.get("FailedSOPSequence") or ())
    except _UNREADABLE as error:
        raise _not_readable(error) from error
    return Report(transaction_uid=_transaction(data_set), committed=committed, failed=failed)


def _sequence(items: Iterable[Dataset]) -> Sequence:
    return Sequence(list(items))


def _item(reference: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        item.FailureReason = reason
    return item


def _decode(encoded: bytes, transfer_syntax_uid: str) -> Dataset:
    if len(encoded) > _LONGEST_BYTES:
        raise CannotUnderstandError(f"the request has {len(encoded)} bytes; must be at most {_LONGEST_BYTES}")
    head = file_meta(
        sop_class_uid=PUSH_MODEL,
        sop_instance_uid=PUSH_MODEL_INSTANCE,
        transfer_syntax_uid=transfer_syntax_uid,
        sending_aet=None,
    )
    file = head + encoded
    try:
        return parse(BytesIO(file), len(file)).dataset
    except ParseError as error:
        raise CannotUnderstandError(f"the data set cannot be parsed ({error.code})") from error


def _reference(item: Any) -> Reference:
    sop_class, instance = item.get("ReferencedSOPClassUID"), item.get("ReferencedSOPInstanceUID")
    if not is_uid(sop_class) or not is_uid(instance):
        raise ValueError("an item of a sequence of references has no UIDs")
    return Reference(sop_class_uid=str(sop_class), sop_instance_uid=str(instance))


def _failure(item: Any) -> Failure:
    reason = item.get("FailureReason")
    return Failure(reference=_reference(item), reason=reason if isinstance(reason, int) else PROCESSING_FAILURE)


def _transaction(data_set: Dataset) -> str:
    uid = data_set.get("TransactionUID")
    if not is_uid(uid):
        raise CannotUnderstandError("TransactionUID (0008,1195) is missing or is not a UID")
    return str(uid)


def _not_readable(error: Exception) -> CannotUnderstandError:
    return CannotUnderstandError(f"the references cannot be read ({type(error).__name__})")
