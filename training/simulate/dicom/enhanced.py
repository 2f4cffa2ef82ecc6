"""A simulated series as Enhanced MR Image Storage: one data set, a frame a slice (PS3.3 A.36 and C.8.13)."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from inference import labels as names
from training.simulate.dicom import vendors
from training.simulate.dicom.classic import (
    decimal,
    file_meta,
    patient_and_study,
    pixels,
    plane_of,
    series_and_equipment,
    stored_values,
    window,
)
from training.simulate.dicom.headers import uid
from training.simulate.physics.scan import Physics, Scan
from training.simulate.series import SimulatedSeries

# Acquisition Contrast (0008,9209) knows these of our labels (PS3.3 C.8.13.3.1.4); a map keeps what it was made from.
_CONTRAST: Final = {
    label: label
    for label in (
        names.T1,
        names.T2,
        names.PROTON_DENSITY,
        names.FLUID_ATTENUATED,
        names.STIR,
        names.T2_STAR,
        names.DIFFUSION,
        names.PERFUSION,
        names.TOF,
        names.FLOW_ENCODED,
    )
} | {names.ADC: names.DIFFUSION}
_ANATOMY: Final = {
    "head": ("69536005", "Head"),
    "neck": ("45048000", "Neck"),
    "cord": ("122494005", "Cervical spine"),
    "abdomen": ("818981001", "Abdomen"),
    "pelvis": ("816092008", "Pelvis"),
    "prostate": ("41216001", "Prostate"),
    "knee": ("72696002", "Knee"),
    "breast": ("76752008", "Breast"),
    "shoulder": ("16982005", "Shoulder"),
    "hip": ("24136001", "Hip joint"),
    "lumbar-spine": ("122496007", "Lumbar spine"),
    "limb": ("30021000", "Lower leg"),
    "extremity": ("85562004", "Hand"),
}


_ALONG: Final = [0.0, 0.0, 1.0]  # velocity and diffusion are encoded along the body


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def _one(**attributes: object) -> Sequence:
    return Sequence([_item(**attributes)])


def _code(value: str, scheme: str, meaning: str) -> Sequence:
    return _one(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


_DERIVED: Final = {
    "adc": ("DIFFUSION", "ADC"),
    "anisotropy": ("DIFFUSION", "FA"),
    "t1-map": ("T1", "T1 MAP"),
    "t2-map": ("T2", "T2 MAP"),
    "fat-fraction": ("OTHER", "FAT_FRACTION"),
    "perfusion": ("PERFUSION", "CBF"),
}


def _frame_type(scan: Scan) -> list[str]:
    """Frame Type (0008,9007): the third value names the contrast, the fourth what was computed."""
    output = scan.physics.output
    if scan.technique == "asl-weighted":
        return ["DERIVED", "PRIMARY", "PERFUSION", "NONE"]
    if output in _DERIVED:
        return ["DERIVED", "PRIMARY", *_DERIVED[output]]
    if output == "velocity":
        return ["ORIGINAL", "PRIMARY", "OTHER", "VELOCITY"]
    third = {"dwi": "DIFFUSION", "bold": "FMRI", "tof": "TOF", "asl": "PERFUSION"}.get(scan.technique, "M")
    if third == "M":
        third = {
            names.T1: "T1",
            names.T2: "T2",
            names.PROTON_DENSITY: "PROTON_DENSITY",
            names.FLUID_ATTENUATED: "FLUID_ATTENUATED",
            names.STIR: "STIR",
            names.T2_STAR: "T2_STAR",
        }.get(scan.labels.contrast or "", "OTHER")
    return ["ORIGINAL", "PRIMARY", third, "NONE"]


def _mr_image_description(scan: Scan) -> Mapping[str, object]:
    """MR Image Description macro (PS3.3 C.8.13.3.1)."""
    return {
        "PixelPresentation": "MONOCHROME",
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "NONE",
        "ComplexImageComponent": "PHASE" if scan.physics.output in ("phase", "velocity") else "MAGNITUDE",
        "AcquisitionContrast": _CONTRAST.get(scan.labels.contrast or "", "UNKNOWN"),
    }


def _pulse_sequence(scan: Scan) -> Mapping[str, object]:
    """MR Pulse Sequence (PS3.3 C.8.13.4)."""
    p = scan.physics
    echo = "GRADIENT" if p.kind in ("spoiled", "prepared", "balanced", "gradient-epi") else "SPIN"
    steady = {"balanced": "FREE_PRECESSION", "spoiled": "LONGITUDINAL"}.get(p.kind, "NONE")
    name = vendors.header(scan)["SequenceName"]
    if scan.physics.output in _DERIVED:
        return {}  # of original images only
    only: dict[str, object] = {}
    if echo == "SPIN":
        only["MultipleSpinEcho"] = "YES" if p.echoes > 1 else "NO"
    if scan.sampling.volumetric:
        only["CoverageOfKSpace"] = "FULL"
    if p.output == "velocity":
        only["VelocityEncodingAcquisitionSequence"] = _one(VelocityEncodingDirection=_ALONG)
    return only | {
        "PulseSequenceName": name or scan.technique,
        "MRAcquisitionType": "3D" if scan.sampling.volumetric else "2D",
        "EchoPulseSequence": echo,
        "MultiPlanarExcitation": "NO",
        "PhaseContrast": "YES" if p.output == "velocity" else "NO",
        "TimeOfFlightContrast": "YES" if scan.labels.contrast == names.TOF else "NO",
        "SteadyStatePulseSequence": steady,
        "EchoPlanarPulseSequence": "YES" if p.kind.endswith("epi") else "NO",
        "SaturationRecovery": "NO",
        "SpectrallySelectedSuppression": "FAT" if p.fat == "saturation" else "NONE",
        "OversamplingPhase": "NONE",
        "GeometryOfKSpaceTraversal": "RECTILINEAR",
        "SegmentedKSpaceTraversal": "FULL" if p.kind.endswith("epi") else "PARTIAL",
        "RectilinearPhaseEncodeReordering": "LINEAR",
        "NumberOfKSpaceTrajectories": 1,
    }


def _add_safety(timing: Dataset, region: str) -> None:
    """What MR Timing says of heat and stimulation: the values of any quiet scan."""
    timing.SpecificAbsorptionRateSequence = _one(
        SpecificAbsorptionRateDefinition="IEC_HEAD" if region == "head" else "IEC_WHOLE_BODY",
        SpecificAbsorptionRateValue=0.5,
    )
    timing.OperatingModeSequence = Sequence(
        [
            _item(OperatingModeType="STATIC FIELD", OperatingMode="IEC_NORMAL"),
            _item(OperatingModeType="RF", OperatingMode="IEC_NORMAL"),
            _item(OperatingModeType="GRADIENT", OperatingMode="IEC_NORMAL"),
        ]
    )
    timing.GradientOutputType = "DB_DT"
    timing.GradientOutput = 10.0


def _timing(scan: Scan) -> Mapping[str, Sequence]:
    """Macros MR Timing, MR Echo, MR Modifier and MR Diffusion (PS3.3 C.8.13.5.2, .4, .5, .12)."""
    p: Physics = scan.physics
    timing = _item(
        RepetitionTime=float(str(scan.header.get("RepetitionTime", p.tr_ms))),
        FlipAngle=p.flip_deg,
        EchoTrainLength=p.echoes,
        RFEchoTrainLength=p.echoes if p.kind in ("spin-echo", "inversion") else 0,
        GradientEchoTrainLength=1 if p.kind.endswith("epi") or p.kind == "spoiled" else 0,
    )
    _add_safety(timing, scan.region)
    modifier = _item(
        InversionRecovery="NO" if p.ti_ms is None else "YES",
        FlowCompensation="NONE",
        Spoiling="NONE",
        T2Preparation="NO",
        SpatialPresaturation="NONE",
        PartialFourier="NO",
        ParallelAcquisition="NO",
        SpectrallySelectedExcitation="WATER" if p.fat == "water-excitation" else "NONE",
    )
    if p.ti_ms is not None:
        modifier.InversionTimes = [p.ti_ms]
    groups = {
        "MRTimingAndRelatedParametersSequence": Sequence([timing]),
        "MREchoSequence": _one(EffectiveEchoTime=float(str(scan.header.get("EchoTime", p.te_ms)))),
        "MRModifierSequence": Sequence([modifier]),
    }
    if p.output == "velocity":
        groups["MRVelocityEncodingSequence"] = _one(
            VelocityEncodingDirection=_ALONG, VelocityEncodingMinimumValue=-80.0, VelocityEncodingMaximumValue=80.0
        )
    if scan.technique == "dwi":
        kind = "NONE" if p.b_s_mm2 == 0 else "DIRECTIONAL" if p.directional else "ISOTROPIC"
        diffusion = _item(DiffusionBValue=p.b_s_mm2, DiffusionDirectionality=kind)
        if kind == "DIRECTIONAL":
            diffusion.DiffusionGradientDirectionSequence = _one(DiffusionGradientOrientation=_ALONG)
        groups["MRDiffusionSequence"] = Sequence([diffusion])
    return groups


def _shared(series: SimulatedSeries, rescale: Mapping[str, str]) -> Dataset:
    scan, view = series.scan, series.view
    rows, columns = series.volume.shape[1:]
    plane = plane_of(view, (rows, columns), 0)
    value, meaning = _ANATOMY.get(scan.region, ("38266002", "Entire body"))
    region = _item(FrameLaterality="U", AnatomicRegionSequence=_code(value, "SCT", meaning))
    shared = _item(
        PixelMeasuresSequence=_one(
            PixelSpacing=plane["PixelSpacing"],
            SliceThickness=f"{view.thickness_mm:.6g}",
            SpacingBetweenSlices=_spacing(view.offsets_mm),
        ),
        PlaneOrientationSequence=_one(ImageOrientationPatient=plane["ImageOrientationPatient"]),
        FrameAnatomySequence=Sequence([region]),
        MRImageFrameTypeSequence=_one(FrameType=_frame_type(scan), **_mr_image_description(scan)),
        PixelValueTransformationSequence=_one(
            **({"RescaleIntercept": "0", "RescaleSlope": "1", "RescaleType": "US"} | dict(rescale))
        ),
        MRFOVGeometrySequence=_one(
            InPlanePhaseEncodingDirection="ROW",
            MRAcquisitionFrequencyEncodingSteps=rows,
            MRAcquisitionPhaseEncodingStepsInPlane=columns,
            PercentSampling=100.0,
            PercentPhaseFieldOfView=100.0,
        ),
        MRImagingModifierSequence=_one(
            MagnetizationTransfer="NONE",
            BloodSignalNulling="NO",
            Tagging="NONE",
            TransmitterFrequency=round(42.577 * scan.physics.field_t, 4),
            PixelBandwidth=200.0,
        ),
        MRReceiveCoilSequence=_one(
            ReceiveCoilName="COIL",
            ReceiveCoilManufacturerName="",
            ReceiveCoilType="VOLUME",
            QuadratureReceiveCoil="YES",
        ),
        MRTransmitCoilSequence=_one(TransmitCoilName="BODY", TransmitCoilManufacturerName="", TransmitCoilType="BODY"),
        MRAveragesSequence=_one(NumberOfAverages=1.0),
    )
    for keyword, sequence in _timing(scan).items():
        setattr(shared, keyword, sequence)
    _add_where_needed(shared, scan, slices=len(view.offsets_mm))
    return shared


def _add_where_needed(shared: Dataset, scan: Scan, *, slices: int) -> None:
    """Contrast/Bolus Usage of a scan with an agent; encoding steps through the volume of a 3D one."""
    if scan.physics.agent:
        shared.ContrastBolusUsageSequence = _one(
            ContrastBolusAgentNumber=1, ContrastBolusAgentAdministered="YES", ContrastBolusAgentDetected="YES"
        )
    if scan.sampling.volumetric:
        shared.MRFOVGeometrySequence[0].MRAcquisitionPhaseEncodingStepsOutOfPlane = slices


def _spacing(offsets_mm: tuple[float, ...]) -> str:
    return decimal(np.array([offsets_mm[1] - offsets_mm[0] if len(offsets_mm) > 1 else 1.0]))[0]


def _per_frame(series: SimulatedSeries, index: int, stored: np.ndarray, acquired: str) -> Dataset:
    rows, columns = series.volume.shape[1:]
    plane = plane_of(series.view, (rows, columns), index)
    centre, width = window(stored)
    return _item(
        FrameContentSequence=_one(
            FrameReferenceDateTime=acquired,
            FrameAcquisitionDateTime=acquired,
            FrameAcquisitionDuration=100.0,
            FrameAcquisitionNumber=1,
            StackID="1",
            InStackPositionNumber=index + 1,
            DimensionIndexValues=[1, index + 1],
        ),
        PlanePositionSequence=_one(ImagePositionPatient=plane["ImagePositionPatient"]),
        FrameVOILUTSequence=_one(WindowCenter=centre, WindowWidth=width),
    )


def _dimensions(dataset: Dataset, study: str, number: int) -> None:
    """Multi-frame Dimension (PS3.3 C.7.6.17): stack, then position in it."""
    organization = uid("dimensions", study, number)
    dataset.DimensionOrganizationSequence = _one(DimensionOrganizationUID=organization)
    dataset.DimensionIndexSequence = Sequence(
        [
            _item(
                DimensionOrganizationUID=organization, DimensionIndexPointer=pointer, FunctionalGroupPointer=0x00209111
            )
            for pointer in (0x00209056, 0x00209057)
        ]
    )


def dataset(series: SimulatedSeries, *, study: str, number: int) -> Dataset:
    """The series as one multi-frame instance, uncompressed, with file meta information."""
    volume, rescale = stored_values(series)
    scan = series.scan
    image = patient_and_study(study)
    series_and_equipment(image, series, study, number)
    del image.AcquisitionDate, image.AcquisitionTime
    acquired = f"{image.ContentDate}{image.ContentTime}"
    image.SOPClassUID = EnhancedMRImageStorage
    image.SOPInstanceUID = uid("instance", study, number, series.seed, "enhanced")
    image.Manufacturer, image.ManufacturerModelName = scan.vendor, scan.model
    image.ImageType = _frame_type(scan)
    for keyword, value in (*_mr_image_description(scan).items(), *_pulse_sequence(scan).items()):
        setattr(image, keyword, value)
    image.InstanceNumber = 1
    image.AcquisitionNumber = 1
    image.AcquisitionDateTime = acquired
    image.AcquisitionDuration = 120.0
    image.ContentQualification = "RESEARCH"
    image.ResonantNucleus = "1H"
    image.KSpaceFiltering = "NONE"
    image.MagneticFieldStrength = scan.physics.field_t
    image.ApplicableSafetyStandardAgency = "IEC"
    image.AcquisitionContextSequence = Sequence([])
    image.BurnedInAnnotation = "NO"
    image.LossyImageCompression = "00"
    image.PresentationLUTShape = "IDENTITY"
    if scan.physics.agent:
        image.ContrastBolusAgentSequence = _agent()
    _dimensions(image, study, number)
    image.NumberOfFrames = len(volume)
    image.SharedFunctionalGroupsSequence = Sequence([_shared(series, rescale)])
    image.PerFrameFunctionalGroupsSequence = Sequence(
        [_per_frame(series, index, stored, acquired) for index, stored in enumerate(volume)]
    )
    pixels(image, volume)
    file_meta(image)
    return image


def _agent() -> Sequence:
    """Enhanced Contrast/Bolus (PS3.3 C.7.6.4b): gadobutrol into a vein."""
    item = _code("418351005", "SCT", "Gadobutrol")[0]
    item.ContrastBolusAgentNumber = 1
    item.ContrastBolusAdministrationRouteSequence = _code("47625008", "SCT", "Intravenous route")
    item.ContrastBolusIngredientCodeSequence = _code("16087007", "SCT", "Gadolinium")
    item.ContrastBolusVolume = 7.5
    item.ContrastBolusIngredientConcentration = 157.0
    item.ContrastAdministrationProfileSequence = _one(ContrastBolusVolume=7.5)
    return Sequence([item])
