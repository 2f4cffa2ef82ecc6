"""The DICOM conformance statement (PS3.2) as a page, its tables made from the code's own.

`python -m dicom_node.conformance > CONFORMANCE.md` writes it; a test compares the page with what this makes.
"""

import inspect
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from pydantic_core import PydanticUndefined
from pydicom.sr.coding import Code
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom.presentation import PresentationContext

from dicom_node import commitment, errors
from dicom_node.backfill import dimse
from dicom_node.commitment import custody, scp
from dicom_node.commitment.scp import CommitmentScp
from dicom_node.conformance_page import PAGE
from dicom_node.receive import part10
from dicom_node.receive.storage_classes import MR_CLASSES, VERIFICATION, presentation_contexts
from dicom_node.report import codes, sr
from dicom_node.report.evidence import UTF_8
from dicom_node.report.uids import IMPLEMENTATION_CLASS_UID
from dicom_node.settings import CommitmentSettings, ScpSettings, ServerTls
from dicom_node.settings_values import Section
from dicom_node.tls import CIPHERS

# Reports, and what goes with them by setting.
_SENT: Final = (Comprehensive3DSRStorage, SecondaryCaptureImageStorage, KeyObjectSelectionDocumentStorage)
_SENT_SYNTAXES: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


def statement() -> str:
    """The whole page, Markdown."""
    return PAGE.format(
        services=_services(),
        implementation=IMPLEMENTATION_CLASS_UID,
        version=part10.IMPLEMENTATION_VERSION_NAME.rpartition("_")[0] + "_<version>",
        accepted=_contexts(presentation_contexts("refuse")),
        statuses=_table(("Status", "Meaning", "When"), _statuses()),
        settings=_table(("Setting", "Default"), _settings("scp", ScpSettings)),
        commitment_settings=_table(("Setting", "Default"), _settings("commitment", CommitmentSettings)),
        commitment_statuses=_table(("Status of N-ACTION", "When"), _commitment_statuses()),
        failure_reasons=_table(("Failure Reason (0008,1197)", "When"), _failure_reasons()),
        sent=_table(
            ("SOP class", "UID", "Transfer syntaxes proposed", "Role"),
            [(uid.name, uid, _names(_SENT_SYNTAXES), "SCU") for uid in _SENT]
            + [
                (commitment.PUSH_MODEL.name, commitment.PUSH_MODEL, _names(_SENT_SYNTAXES), role)
                for role in ("SCU (questions)", "SCP (answers, by role selection)")
            ],
        ),
        deepest=part10.DEEPEST,
        root=sr.Comprehensive3DSRStorage.name,
        scheme=codes.SCHEME,
        series=sr.SERIES_DESCRIPTION,
        concepts=_table(("Concept", "Code value", "Scheme", "Meaning"), _concepts()),
        contrasts=_table(("Label", "Code value", "Scheme", "Meaning"), _contrasts()),
        character_set=UTF_8,
        suites=_table(("Cipher suite of TLS 1.2",), [(f"`{suite}`",) for suite in CIPHERS]),
        tls_settings=_table(("Setting", "Default"), _settings("scp.tls", ServerTls)),
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _services() -> str:
    rows = [(VERIFICATION.name, VERIFICATION, "Yes (`mrclip doctor`)", "Yes")]
    rows += [(uid.name, uid, "No", "Yes") for uid in MR_CLASSES]
    rows += [("every other standard Storage SOP class", "with `scp.accept_other_storage: store`", "No", "Yes")]
    rows += [(uid.name, uid, "Yes", "No") for uid in _SENT]
    rows += [(commitment.PUSH_MODEL.name, commitment.PUSH_MODEL, "Yes", "Yes")]
    rows += [(uid.name, uid, "Yes (`mrclip backfill`)", "No") for uid in (dimse.FIND, dimse.GET, dimse.MOVE)]
    return _table(("SOP class", "UID", "SCU", "SCP"), rows)


def _contexts(contexts: Iterable[PresentationContext]) -> str:
    """SOP classes with the same transfer syntaxes share a list of them."""
    shared: dict[tuple[UID, ...], list[str]] = {}
    for context in [*contexts, *CommitmentScp.contexts()]:
        shared.setdefault(tuple(context.transfer_syntax), []).append(UID(context.abstract_syntax or "").name)
    rows = [("<br>".join(classes), _names(syntaxes), "SCP") for syntaxes, classes in shared.items()]
    return _table(("SOP classes", "Transfer syntaxes", "Role"), rows)


def _names(syntaxes: Iterable[UID]) -> str:
    return "<br>".join(f"{UID(one).name} ({one})" for one in syntaxes)


def _statuses() -> Iterator[tuple[str, str, str]]:
    yield f"{errors.SUCCESS:04X}", "Success", "Whole and synced in the spool; the ledger follows within 0.2 s."
    refused = "Another data set is known under its UID and `scp.duplicates` is `refuse`; it is kept aside."
    yield "0111", "Failure", refused
    found = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, errors.NodeError)]
    for error in sorted(found, key=lambda one: (one.status or 0, one.__name__)):
        if error.status is not None:
            again = "Failure; may work later" if error.retry else "Failure"
            yield f"{error.status:04X}", again, (inspect.getdoc(error) or "").partition("\n\n")[0].replace("\n", " ")


def _commitment_statuses() -> Iterator[tuple[str, str]]:
    for status, when in scp.STATUSES.items():
        yield f"{status:04X}", when


def _failure_reasons() -> Iterator[tuple[str, str]]:
    for reason, when in custody.REASONS.items():
        yield f"{reason:04X}", when


def _settings(prefix: str, section: type[Section]) -> Iterator[tuple[str, str]]:
    for name, one in section.model_fields.items():
        default: Any = one.get_default(call_default_factory=True)
        said = "(required)" if default is PydanticUndefined else _plain(default)
        yield f"`{prefix}.{name}`", f"`{said}`"


def _plain(default: object) -> str:
    return "[]" if default == () else "null" if default is None else str(default)


def _concepts() -> Iterator[tuple[str, str, str, str]]:
    for name, code in vars(codes).items():
        if isinstance(code, Code):
            yield name, code.value, code.scheme_designator, code.meaning


def _contrasts() -> Iterator[tuple[str, str, str, str]]:
    for label, code in codes.CONTRAST.items():
        yield label, code.value, code.scheme_designator, code.meaning


if __name__ == "__main__":
    sys.stdout.write(statement())
