"""The header of a scan without its pixels: the data set a scanner would write, and how `inference` reads it."""

from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage, generate_uid

from inference.captions import Caption, caption
from inference.claims import claim
from inference.header import FrameHeader, frame_headers
from training.simulate.dicom import vendors
from training.simulate.physics.scan import Scan

BODY_PARTS: Final = {
    "head": "HEAD", "neck": "CSPINE", "cord": "CSPINE", "lumbar-spine": "LSPINE", "knee": "KNEE",
    "shoulder": "SHOULDER", "hip": "HIP", "limb": "LEG", "extremity": "HAND", "abdomen": "ABDOMEN", "pelvis": "PELVIS",
    "prostate": "PROSTATE", "breast": "BREAST",
}  # fmt: skip


def uid(*words: object) -> str:
    """A UID that follows from words alone, so that a series made twice is the same."""
    return str(generate_uid(entropy_srcs=["mrclip.simulate", *(str(word) for word in words)]))


def acquisition(scan: Scan) -> Dataset:
    """The acquisition attributes of a classic MR image of this scan (PS3.3 C.8.3.1), private b-values included."""
    dataset = Dataset()
    dataset.Modality = "MR"
    for keyword, value in vendors.acquisition_header(scan).items():
        setattr(dataset, keyword, value)
    dataset.ProtocolName = scan.description
    dataset.BodyPartExamined = BODY_PARTS.get(scan.region, "")
    if scan.physics.agent:
        dataset.ContrastBolusAgent = "Gadobutrol"
    _add_b_value(dataset, scan)
    return dataset


def _add_b_value(dataset: Dataset, scan: Scan) -> None:
    """The b-value where each vendor keeps it: Siemens and GE in private elements, the others in the standard's."""
    if scan.technique != "dwi":
        return
    b = scan.physics.b_s_mm2
    maker = vendors.family(scan.vendor)
    if maker == "siemens":
        dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", int(b))
    elif maker == "ge":
        block = dataset.private_block(0x0043, "GEMS_PARM_01", create=True)
        block.add_new(0x39, "IS", [int(b), 8, 0, 0])
        block.add_new(0x30, "SS", 14 if b == 0 else 3)
    else:
        dataset.DiffusionBValue = b
        dataset.DiffusionDirectionality = (
            "DIRECTIONAL" if scan.physics.directional else "ISOTROPIC" if b > 0 else "NONE"
        )


def frame_header(scan: Scan) -> FrameHeader:
    """The scan's header as the reader sees it."""
    dataset = acquisition(scan)
    dataset.SOPClassUID = MRImageStorage
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = _UIDS
    return frame_headers(dataset)[0]


_UIDS: Final = tuple(uid("caption", level) for level in ("study", "series", "instance"))


def caption_of(scan: Scan) -> Caption:
    """The caption that the reader would make of this scan's header, with what it claims."""
    header = frame_header(scan)
    claimed = claim(header)
    return caption(
        header, plane=scan.plane, contrast=claimed.label,
        post_contrast=claimed.post_contrast, fat_suppressed=claimed.fat_suppressed,
    )  # fmt: skip
