"""A destination in memory, for tests and trials: what it got, and failures on order."""

from dataclasses import dataclass, field
from pathlib import Path

from dicom_node.deliver import Committer, DeliveryError
from dicom_node.deliver.report_file import read_report
from inference.identifiers import SopInstanceUid


@dataclass(kw_only=True)
class MemoryDestination:
    """Keeps reports by SOP Instance UID, after failing as it is told to."""

    name: str
    reports: dict[SopInstanceUid, bytes] = field(default_factory=dict[SopInstanceUid, bytes])
    committer: Committer | None = None
    failures: list[DeliveryError] = field(default_factory=list[DeliveryError])  # raised first, in this order

    def deliver(self, report_path: Path) -> None:
        """Keep the report, or raise the next failure."""
        if self.failures:
            raise self.failures.pop(0)
        report = read_report(report_path)
        self.reports[report.sop_instance_uid] = report.content
