"""Which SOP classes and transfer syntaxes the node takes in."""

from typing import Final, Literal

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
    MRSpectroscopyStorage,
    RLELossless,
)
from pynetdicom.presentation import AllStoragePresentationContexts, PresentationContext, build_context

VERIFICATION: Final = UID("1.2.840.10008.1.1")

UNCOMPRESSED: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)

# Deflated is left out: a small data set could unfold to any size. Everything here is kept as it came.
TRANSFER_SYNTAXES: Final = (
    *UNCOMPRESSED,
    RLELossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    HTJ2K,
)

MR_CLASSES: Final = (
    MRImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    EnhancedMRColorImageStorage,
    MRSpectroscopyStorage,
)


def presentation_contexts(other_storage: Literal["refuse", "store"]) -> list[PresentationContext]:
    """What is offered to peers: Verification and MR, and with `store` every standard storage class there is.

    A class that is not offered is rejected when the association is negotiated, so its sender knows.
    """
    classes = list(MR_CLASSES)
    if other_storage == "store":
        others = (context.abstract_syntax for context in AllStoragePresentationContexts)
        classes += [uid for uid in others if uid is not None and uid not in MR_CLASSES]
    storage = [build_context(uid, list(TRANSFER_SYNTAXES)) for uid in classes]
    return [build_context(VERIFICATION, list(UNCOMPRESSED)), *storage]
