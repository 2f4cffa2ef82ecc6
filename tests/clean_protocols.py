"""Headers as the vendors really write them, one per protocol: no rule may warn about any, and tests corrupt them.

Timing and terms follow the vendors' habits: Siemens writes refocusing angles, TR of the inversion for an MPRAGE and
MP in Sequence Variant; GE writes TR as echo spacing, TI without IR for a prepared gradient echo, and TI 0 for none;
Philips writes IR alone for an inversion-recovery spin echo and GR for gradient-echo EPI; Canon and UIH write NONE as
variant.
"""

from collections.abc import Mapping
from typing import Any, Final

from inference.header import FrameHeader
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from inference.stacks import Kind, Plane, Stack

MR_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.4.1"
AXIAL: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL: Final = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL: Final = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
ORIENTATIONS: Final[Mapping[Plane, tuple[float, ...]]] = {"axial": AXIAL, "sagittal": SAGITTAL, "coronal": CORONAL}
NORMALS: Final[Mapping[Plane, int]] = {"sagittal": 0, "coronal": 1, "axial": 2}  # axis of the slice position

SIEMENS: Final = {
    "manufacturer": "SIEMENS", "manufacturer_model_name": "Prisma_fit", "image_type": ("ORIGINAL", "PRIMARY", "M",
        "ND"),
}  # fmt: skip
GE: Final = {
    "manufacturer": "GE MEDICAL SYSTEMS", "manufacturer_model_name": "SIGNA Architect",
    "image_type": ("ORIGINAL", "PRIMARY", "OTHER"), "protocol_name": "Brain Advanced Sequences",
        "inversion_time_ms": 0.0,
}  # fmt: skip
PHILIPS: Final = {
    "manufacturer": "Philips Medical Systems", "manufacturer_model_name": "Ingenia", "scan_options": ("OTHER",),
}  # fmt: skip
CANON: Final = {
    "manufacturer": "CANON_MEC", "manufacturer_model_name": "Galan 3T", "sequence_variant": ("NONE",),
    "image_type": ("ORIGINAL", "PRIMARY", "GDC"),
}  # fmt: skip
UIH: Final = {
    "manufacturer": "UIH", "manufacturer_model_name": "uMR 770", "sequence_variant": ("NONE",),
    "image_type": ("ORIGINAL", "PRIMARY", "M", "UCA"),
}  # fmt: skip
XA: Final = {
    "manufacturer": "Siemens Healthineers", "manufacturer_model_name": "MAGNETOM Vida",
        "sop_class_uid": ENHANCED_MR_IMAGE,
    "image_type": ("ORIGINAL", "PRIMARY", "M", "NONE"), "acquisition_contrast": "UNKNOWN",
}  # fmt: skip


def _timing(te: float, tr: float, flip: float, ti: float | None = None) -> dict[str, Any]:
    timing = {"echo_time_ms": te, "repetition_time_ms": tr, "flip_angle_deg": flip}
    return timing | ({} if ti is None else {"inversion_time_ms": ti})


def _siemens(
    name: str,
    description: str,
    sequence: str,
    variant: str,
    *,
    options: str = "",
    **header: Any,
) -> dict[str, Any]:
    return SIEMENS | {
        "sequence_name": name, "series_description": description, "protocol_name": description,
        "scanning_sequence": tuple(sequence.split()), "sequence_variant": tuple(variant.split()),
        "scan_options": tuple(options.split()),
    } | header  # fmt: skip


def _ge(description: str, sequence: str, variant: str, *, options: str = "FAST_GEMS", **header: Any) -> dict[str, Any]:
    return GE | {
        "series_description": description, "scanning_sequence": tuple(sequence.split()),
        "sequence_variant": tuple(variant.split()), "scan_options": tuple(options.split()),
    } | header  # fmt: skip


def _philips(description: str, sequence: str, variant: str, **header: Any) -> dict[str, Any]:
    kind = {"SE": "SE", "GR": "FFE", "IR": "IR"}[sequence]
    return PHILIPS | {
        "series_description": description, "protocol_name": f"WIP {description} SENSE",
        "image_type": ("ORIGINAL", "PRIMARY", f"M_{kind}", "M", kind),
        "scanning_sequence": (sequence,), "sequence_variant": tuple(variant.split()),
    } | header  # fmt: skip


def _named(base: dict[str, Any], name: str, description: str, sequence: str, **header: Any) -> dict[str, Any]:
    return base | {
        "sequence_name": name, "series_description": description, "protocol_name": description,
        "scanning_sequence": tuple(sequence.split()),
    } | header  # fmt: skip


_3D: Final = {"mr_acquisition_type": "3D"}
_SAG: Final = {"plane": "sagittal"}
_COR: Final = {"plane": "coronal"}
_TRACE: Final = ("ORIGINAL", "PRIMARY", "DIFFUSION", "TRACEW", "ND")
_ADC: Final = ("DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND")

# Name: the header's fields, plus `plane` and `kind` of the stack.
PROTOCOLS: Final[Mapping[str, Mapping[str, Any]]] = {
    # Siemens
    "siemens-t1-se": _siemens("*se2d1", "t1_se_tra", "SE", "SP OSP") | _timing(9, 500, 90),
    "siemens-t1-tse": _siemens("*tse2d1_3", "t1_tse_sag", "SE", "SK SP", **_SAG) | _timing(9.1, 600, 150),
    "siemens-t2-tse": _siemens("*tse2d1_15", "t2_tse_tra_512", "SE", "SK SP OSP") | _timing(98, 4000, 150),
    "siemens-pd-tse-fs": _siemens("*tse2d1_7", "pd_tse_fs_cor", "SE", "SK SP", options="FS", **_COR)
    | _timing(33, 3200, 180),
    "siemens-flair": _siemens("*tir2d1_16rs13", "t2_tirm_tra_dark-fluid", "SE IR", "SK SP MP OSP", options="IR")
    | _timing(85, 9000, 150, 2500),
    "siemens-stir": _siemens("*tir2d1_11", "t2_tirm_cor", "SE IR", "SK SP MP OSP", options="IR", **_COR)
    | _timing(60, 4500, 150, 160),
    "siemens-t1-flair": _siemens("*tir2d1_5", "t1_tirm_tra_dark-fluid", "SE IR", "SK SP MP", options="IR")
    | _timing(8.4, 2000, 150, 860),
    "siemens-mprage": _siemens("*tfl3d1_16ns", "t1_mprage_sag_p2_iso", "GR IR", "SK SP MP", options="IR", **_3D, **_SAG)
    | _timing(2.98, 2300, 9, 900),
    "siemens-mp2rage-inv1": _siemens("*tfl3d1_16ns", "t1_mp2rage_sag_INV1", "GR IR", "SK SP MP", options="IR", **_3D,
        **_SAG)
    | _timing(2.98, 5000, 4, 700),
    "siemens-space-t2": _siemens("*spc_314ns", "t2_space_sag_p2_iso", "SE", "SK SP", **_3D, **_SAG)
    | _timing(409, 3200, 120),
    "siemens-space-flair": _siemens("*spcir_278ns", "t2_space_dark-fluid_sag", "SE IR", "SK SP MP", options="IR",
        **_3D, **_SAG)
    | _timing(388, 5000, 120, 1800),
    "siemens-vibe-km": _siemens("*fl3d1", "t1_vibe_fs_tra_bh_KM", "GR", "SP", options="FS",
        contrast_bolus_agent="Gadovist", **_3D)
    | _timing(1.35, 3.9, 9),
    "siemens-vibe-nativ": _siemens("*fl3d1", "t1_vibe_fs_tra_bh nativ", "GR", "SP", options="FS", **_3D)
    | _timing(1.35, 3.9, 9),
    "siemens-mt-flash": _siemens("*fl3d8", "t1w_mtflash3d", "GR", "SP", **_3D) | _timing(2.3, 40, 21),
    "siemens-fl2d-t1": _siemens("*fl2d1", "t1_fl2d_sag", "GR", "SP OSP", **_SAG) | _timing(2.46, 300, 80),
    "siemens-fl2d-hemo": _siemens("*fl2d1", "t2_fl2d_tra_hemo", "GR", "SP OSP") | _timing(20, 620, 20),
    "siemens-swi": _siemens(
        "*swi3d1r", "SWI_Images", "GR", "SP", **_3D, protocol_name="t2_swi_tra_p2",
        image_type=("ORIGINAL", "PRIMARY", "M", "SWI", "NORM"),
    ) | _timing(20, 28, 15),
    "siemens-medic": _siemens("*me2d1r4", "t2_me2d_tra", "GR", "SP") | _timing(26, 900, 30),
    "siemens-bold": _siemens("*epfid2d1_64", "ep2d_bold_moco", "EP", "SK", options="FS") | _timing(30, 2000, 80),
    "siemens-trace": _siemens(
        "*ep_b1000t", "ep2d_diff_3scan_trace_p2_TRACEW", "EP", "SK SP", options="PFP FS", image_type=_TRACE,
        b_value_s_mm2=1000.0, protocol_name="ep2d_diff_3scan_trace_p2",
    ) | _timing(89, 5600, 90),
    "siemens-adc": _siemens(
        "*ep_b0_1000", "ep2d_diff_3scan_trace_p2_ADC", "EP", "SK SP", options="PFP FS", image_type=_ADC, kind="derived",
        protocol_name="ep2d_diff_3scan_trace_p2",
    ) | _timing(89, 5600, 90),
    "siemens-trufi": _siemens("*tfi2d1_64", "trufi_cor_bh", "GR", "SK SS", **_COR) | _timing(1.6, 3.8, 60),
    "siemens-trufi-cine": _siemens("*tfi2d1_15", "cine_4ch", "GR", "SK SS") | _timing(1.2, 39, 60),
    "siemens-psif": _siemens("*ps3d1", "psif_diff_sag", "GR", "SK SS", **_3D, **_SAG) | _timing(17, 12, 40),
    "siemens-dess": _siemens("*de3d1", "t2_de3d_we_sag", "GR", "SK SS", **_3D, **_SAG) | _timing(5, 16.3, 25),
    "siemens-ciss": _siemens("*ci3d1", "t2_ci3d_tra", "GR", "SK SS", **_3D) | _timing(2.7, 5.9, 50),
    "siemens-tof": _siemens("*fi3d1r", "TOF_3D_multi-slab", "GR", "SP OSP", options="SAT1", **_3D)
    | _timing(3.6, 22, 18),
    "siemens-haste": _siemens("*h2d1_256", "t2_haste_cor_mbh", "SE", "SK SP OSP", options="PFP", **_COR)
    | _timing(92, 1200, 150),
    "siemens-pcasl": _siemens("epfid2d1_72", "pcasl_2d", "EP", "SK", options="FS") | _timing(14, 2540, 90, 1800),
    "siemens-petra": _siemens("*petra3d", "t1_petra_tra_iso", "GR", "SP", **_3D) | _timing(0.07, 3.3, 6),
    "siemens-spiral-vibe": _siemens("*fl3d1", "t1_vibe_spiral_ute_cor", "GR", "SP", **_3D, **_COR)
    | _timing(0.05, 3.0, 5),
    "siemens-t2-relaxometry": _siemens("*se2d32", "T2 mapping cor", "SE", "SP", **_COR) | _timing(12.7, 2000, 180),
    "siemens-xa-mprage": XA | _timing(2.26, 2300, 8, 900) | {
        "sequence_name": "*tfl3d1_16ns", "series_description": "t1_mprage_sag", "protocol_name": "t1_mprage_sag",
        "echo_pulse_sequence": "GRADIENT", "inversion_recovery": "YES", **_3D, **_SAG,
    },
    "siemens-xa-t2-tse": XA | _timing(93, 4500, 150) | {
        "sequence_name": "*tse2d1_18", "series_description": "t2_tse_tra", "protocol_name": "t2_tse_tra",
        "echo_pulse_sequence": "SPIN", "inversion_recovery": "NO", "spectrally_selected_suppression": "NONE",
    },
    "siemens-xa-dwi": XA | _timing(65, 4000, 90) | {
        "sequence_name": "*epse2d1_100", "series_description": "ep2d_diff_tra_b50_b800_TRACEW", "b_value_s_mm2": 800.0,
        "protocol_name": "ep2d_diff_tra_b50_b800", "echo_pulse_sequence": "SPIN", "echo_planar_pulse_sequence": "YES",
        "acquisition_contrast": "DIFFUSION", "image_type": ("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"),
    },
    # GE
    "ge-t1-fse": _ge("Sag T1 FSE", "SE", "SK", **_SAG) | _timing(9.6, 650, 111),
    "ge-t2-frfse": _ge("Ax T2 FRFSE", "SE", "SK", options="FAST_GEMS NPW TRF_GEMS") | _timing(102, 5000, 142),
    "ge-pd-fse-fs": _ge("Sag PD FSE FS", "SE", "SK", options="FAST_GEMS FS", **_SAG) | _timing(30, 2800, 142),
    "ge-t2-flair": _ge("Ax T2 FLAIR", "SE IR", "SK", options="FAST_GEMS T2FLAIR_GEMS") | _timing(120, 9000, 160, 2250),
    "ge-t1-flair": _ge("Sag T1 FLAIR", "SE IR", "SK", **_SAG) | _timing(24, 2500, 111, 860),
    "ge-stir": _ge("Cor STIR", "SE IR", "SK", **_COR) | _timing(45, 4500, 111, 150),
    "ge-bravo": _ge("Ax 3D T1 BRAVO", "GR", "SS SP SK", options="FAST_GEMS EDR_GEMS", **_3D)
    | _timing(3.2, 8.2, 12, 450),
    "ge-bravo-c": _ge("AX 3D T1 BRAVO +C", "GR", "SS SP SK", contrast_bolus_agent="Dotarem", **_3D)
    | _timing(3.2, 8.2, 12, 450),
    "ge-gre-t2star": _ge("AX T2* GRE", "GR", "SS SP") | _timing(20, 600, 20),
    "ge-swan": _ge("Ax SWAN", "GR", "SS", **_3D) | _timing(24, 40, 15),
    "ge-dwi": _ge("Ax DWI b1000", "EP SE", "NONE", options="EPI_GEMS PFF FS", b_value_s_mm2=1000.0)
    | _timing(78, 8000, 90),
    "ge-adc": _ge(
        "Apparent Diffusion Coefficient (mm2/s)", "EP SE", "NONE", options="EPI_GEMS PFF FS", kind="derived",
        image_type=("DERIVED", "SECONDARY", "ADC"),
    ) | _timing(78, 8000, 90),
    "ge-fmri": _ge("Axial EPI-FMRI", "EP GR", "SS", options="EPI_GEMS PFF") | _timing(30, 2000, 77),
    "ge-ssfse": _ge("Cor SSFSE", "SE", "SK", options="FAST_GEMS SS_GEMS", **_COR) | _timing(85, 1800, 90),
    "ge-fiesta": _ge("Ax FIESTA", "GR", "SS", **_3D) | _timing(1.7, 4.1, 45),
    "ge-lava": _ge("Ax LAVA PRE", "GR", "SS SK", options="FAST_GEMS FS", **_3D) | _timing(1.7, 3.8, 12),
    "ge-tof": _ge("3D TOF", "GR", "SS SP", options="FAST_GEMS VASCTOF_GEMS", **_3D) | _timing(2.6, 23, 20),
    "ge-cube": _ge("Sag T2 CUBE", "SE", "SK", **_3D, **_SAG) | _timing(85, 2500, 90),
    "ge-zte": _ge("Ax ZTE", "GR", "NONE", **_3D) | _timing(0.016, 0.9, 1),
    "ge-ozteo": _ge("Sag oZTEo", "GR", "NONE", **_3D, **_SAG) | _timing(0.02, 0.7, 1),
    "ge-asl": _ge("3D ASL", "RM", "NONE", **_3D) | _timing(10.5, 4800, 111, 2025),
    # Philips
    "philips-t1-se": _philips("T1W_SE", "SE", "SS") | _timing(12, 500, 69),
    "philips-t2-tse": _philips("T2W_TSE", "SE", "SK") | _timing(100, 3000, 90),
    "philips-flair": _philips("FLAIR_longTR", "IR", "SK") | _timing(125, 11000, 90, 2800),
    "philips-stir": _philips("STIR_longTE", "IR", "SK") | _timing(60, 3500, 90, 165),
    "philips-t1-tfe": _philips("sT1W_3D_TFE", "GR", "MP", **_3D) | _timing(3.7, 8.1, 8),
    "philips-t1-tfe-ti": _philips("MPRAGE SAG", "GR", "SK SP MP", **_3D, **_SAG) | _timing(3.1, 6.8, 9, 900),
    "philips-dwi": _philips("DWI_SSh", "SE", "SK", b_value_s_mm2=1000.0, scan_options=("FS",)) | _timing(75, 3500, 90),
    "philips-adc": _philips(
        "dADC", "SE", "SK", image_type=("DERIVED", "PRIMARY", "ADC_UNSPECIFIED", "ADC", "UNSPECIFIED"), kind="derived",
        protocol_name="WIP DWI_SSh SENSE",
    ) | _timing(75, 3500, 90),
    "philips-feepi": _philips("FE_EPI_BOLD", "GR", "SK") | _timing(30, 2000, 80),
    "philips-bffe": _philips("B-FFE cor", "GR", "SS", **_COR) | _timing(1.6, 3.2, 60),
    "philips-t2-ffe": _philips("T2W_FFE", "GR", "SP") | _timing(16, 700, 18),
    "philips-swip": _philips("SWIp", "GR", "SP", **_3D) | _timing(7.2, 31, 17),
    "philips-vista": _philips("T2W VISTA sag", "SE", "SK", **_3D, **_SAG) | _timing(280, 2500, 90),
    "philips-ssh-tse": _philips("T2W_SSh_TSE", "SE", "SK") | _timing(140, 588, 90),
    # Canon
    "canon-t1-se": _named(CANON, "SE15", "T1W AX", "SE") | _timing(15, 500, 90),
    "canon-t2-fse": _named(CANON, "FSE+13", "T2W AX", "SE") | _timing(105, 4500, 90),
    "canon-flair": _named(CANON, "FSE+17", "FLAIR AX", "SE IR") | _timing(105, 10000, 90, 2700),
    "canon-mprage": _named(CANON, "FFE3D", "MPRAGE SAG", "GR IR", **_3D, **_SAG) | _timing(2.7, 5.8, 9, 900),
    "canon-mute": _named(CANON, "FE3D", "mUTE 4D-MRA", "GR", **_3D) | _timing(0.096, 3.7, 5),
    "canon-dti": _named(CANON, "SEEPI2D+0.7", "DTI_AP", "SE EP", b_value_s_mm2=1000.0) | _timing(79, 10000, 90),
    # UIH
    "uih-t1-gre-fsp": _named(UIH, "gre_fsp", "t1_gre_fsp_3d_sag", "GR IR", **_3D, **_SAG) | _timing(3.1, 7.25, 10, 750),
    "uih-t2-fse": _named(UIH, "fse", "t2_fse_tra", "SE") | _timing(98, 4200, 120),
    "uih-dti": _named(UIH, "epi_dti", "dti_tra_dir16_AP", "EP", scan_options=("FS",), b_value_s_mm2=1000.0)
    | _timing(71.5, 5865, 90),
}  # fmt: skip


def clean_stack(name: str, *, slices: int = 5, **changes: Any) -> Stack:
    """A stack of one of the protocols; `changes` are fields of FrameHeader, or `kind`, `plane` or `oblique_deg`."""
    general = {"modality": "MR", "mr_acquisition_type": "2D", "magnetic_field_strength_t": 3.0}
    fields = general | dict(PROTOCOLS[name]) | changes
    plane: Plane = fields.pop("plane", "axial")
    kind: Kind = fields.pop("kind", "magnitude")
    oblique_deg: float = fields.pop("oblique_deg", 3.0)
    defaults: dict[str, Any] = {
        "study_instance_uid": StudyInstanceUid("1.2.3"), "series_instance_uid": SeriesInstanceUid("1.2.3.4"),
        "sop_class_uid": MR_IMAGE, "rows_px": 256, "columns_px": 256, "pixel_spacing_mm": (0.9, 0.9),
        "image_orientation": ORIENTATIONS[plane], "slice_thickness_mm": 5.0, "spacing_between_slices_mm": 6.0,
    }  # fmt: skip
    frames: list[FrameHeader] = []
    for index in range(slices):
        position = [0.0, 0.0, 0.0]
        position[NORMALS[plane]] = 6.0 * index
        own: dict[str, Any] = {
            "sop_instance_uid": SopInstanceUid(f"1.2.3.4.{index}"), "image_position_mm": tuple(position),
        }  # fmt: skip
        frames.append(FrameHeader(**(defaults | own | fields)))
    shape: dict[str, Any] = {"index": 0, "kind": kind, "selector": {}, "slices": slices, "plane": plane}
    return Stack(**shape, frames=tuple(frames), oblique_deg=oblique_deg)
