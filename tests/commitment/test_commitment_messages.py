"""Requests and reports of Storage Commitment as data sets, and what hostile bytes come to."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from dicom_node.commitment import NO_SUCH_INSTANCE, Failure, Reference, Report, Request
from dicom_node.commitment.messages import read_report, read_request, report_data_set, request_data_set
from dicom_node.errors import CannotUnderstandError

ONE = Reference(sop_class_uid="1.2.840.10008.5.1.4.1.1.4", sop_instance_uid="1.2.3.4")
TWO = Reference(sop_class_uid="1.2.840.10008.5.1.4.1.1.4", sop_instance_uid="1.2.3.5")
REQUEST = Request(transaction_uid="2.25.7", references=(ONE, TWO))


def encoded(data_set: object, *, implicit: bool = True) -> bytes:
    found = encode(data_set, implicit, True)  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_a_request_is_read_as_it_was_written(syntax: str) -> None:
    data = encoded(request_data_set(REQUEST), implicit=syntax == ImplicitVRLittleEndian)
    assert read_request(data, syntax) == REQUEST


def test_a_report_names_what_failed_and_says_so_by_its_event_type() -> None:
    failure = Failure(reference=TWO, reason=NO_SUCH_INSTANCE)
    for committed, failed, event in (((ONE,), (), 1), ((ONE,), (failure,), 2), ((), (failure,), 2)):
        report = Report(transaction_uid="2.25.7", committed=committed, failed=failed)
        event_type, data_set = report_data_set(report)
        assert event_type == event
        assert read_report(encoded(data_set), ImplicitVRLittleEndian) == report
    assert data_set.FailedSOPSequence[0].FailureReason == 0x0112
    assert "ReferencedSOPSequence" not in data_set


def test_what_lacks_its_transaction_or_its_references_is_not_understood() -> None:
    without = request_data_set(REQUEST)
    del without.TransactionUID
    empty = request_data_set(Request(transaction_uid="2.25.7", references=()))
    nameless = request_data_set(REQUEST)
    del nameless.ReferencedSOPSequence[1].ReferencedSOPInstanceUID
    for data_set in (without, empty, nameless):
        with pytest.raises(CannotUnderstandError):
            read_request(encoded(data_set), ImplicitVRLittleEndian)


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom says what it makes of wrong values
@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 200), st.sampled_from([ImplicitVRLittleEndian, ExplicitVRLittleEndian]))
def test_bytes_that_mean_harm_are_understood_or_refused(noise: bytes, at: int, syntax: str) -> None:
    whole = encoded(request_data_set(REQUEST), implicit=syntax == ImplicitVRLittleEndian)
    for data in (noise, whole[:at], whole[:at] + noise + whole[at + len(noise) :]):
        for read in (read_request, read_report):
            try:
                read(data, syntax)
            except CannotUnderstandError:
                continue
