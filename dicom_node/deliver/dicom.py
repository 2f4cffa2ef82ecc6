"""A storage SCP as a destination, a PACS or an archive: one association for one report."""

from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.presentation import build_context

from dicom_node.deliver import Committer
from dicom_node.deliver.report_file import read_report
from dicom_node.deliver.scu import Peer, association, store


@dataclass(frozen=True, kw_only=True, slots=True)
class DicomDestination:
    """Sends reports to `peer` by C-STORE (PS3.4 B), in Explicit VR where the peer takes it."""

    name: str
    peer: Peer
    committer: Committer | None = None

    def deliver(self, report_path: Path) -> None:
        """Send the report; DeliveryError says whether the peer may take it later."""
        report = read_report(report_path).dataset
        context = build_context(report.SOPClassUID, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        with association(self.peer, [context]) as link:
            store(link, report)
