"""A folder as a destination: `<SOPInstanceUID>.dcm`, whole or absent."""

from dataclasses import dataclass
from pathlib import Path

from dicom_node.deliver import DeliveryError
from dicom_node.deliver.report_file import read_report
from inference.atomic import replace_file


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderDestination:
    """Writes reports into `folder`, which is made where it does not exist."""

    name: str
    folder: Path
    committer: None = None  # what is written is synced

    def deliver(self, report_path: Path) -> None:
        """Write the report, synced to the disk. DeliveryError, to be retried, where the disk says no."""
        report = read_report(report_path)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(self.folder / f"{report.sop_instance_uid}.dcm", report.content)
        except OSError as error:
            raise DeliveryError(f"folder {self.folder} cannot be written: {error.strerror}", retry=True) from error
