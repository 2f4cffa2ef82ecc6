"""DICOM series, read by the code that reads them in the node: sources, stacks, chosen slices, claims."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.claims import claim
from inference.consistency import claimed_caption
from inference.identifiers import SeriesInstanceUid, SopInstanceUid
from inference.pixels import PixelError, read_slices
from inference.reasons import Refused
from inference.sources import Instance, find, group, load
from inference.stacks import Stack, choose, split
from training.errors import VolumeError
from training.preprocess.spec import PreprocessSpec
from training.preprocess.volume import Volume, patient_group


@dataclass(frozen=True, kw_only=True)
class DicomTask:
    """One stack of one series."""

    stack: Stack
    instances: Mapping[SopInstanceUid, Instance]
    label: str  # the series and the number of the stack, for messages
    group: str

    def state(self) -> str:
        """A digest of the headers of all its frames."""
        return hashlib.sha256(repr(self.stack.frames).encode()).hexdigest()

    def read(self, spec: PreprocessSpec) -> Volume:
        """The chosen slices of the stack; VolumeError says why it cannot be used."""
        chosen = choose(self.stack, spec.slices)
        try:
            slices = read_slices(chosen, self.instances)
        except PixelError as error:
            raise VolumeError(error.reason.code, error.reason.message) from error
        return Volume(
            slices=slices,
            numbers=list(range(len(slices))),
            pixel_spacing_mm=chosen[0].header.pixel_spacing_mm,
            caption=claimed_caption(self.stack, claim(self.stack.header)),
        )


def find_dicom(source: Path) -> Iterator[DicomTask | Refused]:
    """Every stack of every MR series below `source`, and what was refused."""
    instances: list[Instance] = []
    for loaded in map(load, find([source])):
        if isinstance(loaded, Refused):
            # a folder of NIfTI files holds no DICOM either; only files that claim to be DICOM are reported
            if loaded.code != "not-dicom":
                yield loaded
        elif loaded.modality == "MR":
            instances.append(loaded)
    series, refused = group(instances)
    yield from refused
    for uid, members in series.items():
        yield from _stacks(uid, members)


def _stacks(uid: SeriesInstanceUid, members: list[Instance]) -> Iterator[DicomTask]:
    by_uid = {instance.sop_instance_uid: instance for instance in members}
    patient = _patient(members[0])
    for stack in split([header for instance in members for header in instance.headers]):
        wanted = {header.sop_instance_uid for header in stack.frames}
        yield DicomTask(
            stack=stack,
            instances={sop: instance for sop, instance in by_uid.items() if sop in wanted},
            label=f"{uid} stack {stack.index}",
            group=patient,
        )


def _patient(instance: Instance) -> str:
    """A digest of Patient ID (0010,0020), or of the study where there is none: no identity leaves the source."""
    dataset = instance.dataset()
    patient = str(dataset.get("PatientID") or "").strip() or instance.study_instance_uid
    return patient_group(patient)
