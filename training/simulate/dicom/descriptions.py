"""What the operator calls a series: the naming habits of vendors and of several languages, true to the scan."""

from typing import Final

from training.simulate.dicom.vendors import family
from training.simulate.physics.scan import Physics, Plane
from training.simulate.protocols.draw import Draw, Protocol

# Stems by protocol: Siemens', GE's, Philips', and what people type whatever the vendor; a bar between alternatives.
_STEMS: Final[dict[str, tuple[str, str, str, str]]] = {
    "t1-se": ("t1_se", "T1 SE|T1", "T1W_SE", "T1 SE|T1|T1w"),
    "t1-tse": ("t1_tse", "T1 FSE|T1", "T1W_TSE", "T1 TSE|T1|T1w"),
    "t1-tse-fs": ("t1_tse", "T1 FSE", "T1W_TSE", "T1|T1 TSE"),
    "t1-flair": ("t1_tirm", "T1 FLAIR", "T1W_IR_TSE", "T1 FLAIR"),
    "t2-tse": ("t2_tse|t2_tse_p2|t2_tse_320", "T2 FSE|T2 PROPELLER|T2 FRFSE", "T2W_TSE", "T2|T2 TSE|T2w"),
    "t2-tse-fs": ("t2_tse|t2_tse_p2", "T2 FSE|T2 FRFSE", "T2W_TSE", "T2|T2 TSE"),
    "pd-se": ("pd_se|pd_se_mc", "PD SE|PD", "PDW_SE", "PD|PD SE|PDw"),
    "t2-se": ("t2_se|t2_se_mc", "T2 SE|T2", "T2W_SE", "T2|T2 SE|T2w"),
    "pd-tse": ("pd_tse", "PD FSE|PD", "PDW_TSE", "PD|PDw TSE"),
    "pd-tse-fs": ("pd_tse", "PD FSE|PD", "PDW_TSE", "PD|PD TSE"),
    "t2-space": ("t2_space_iso|t2_spc", "T2 CUBE", "T2W_VISTA", "T2 SPACE|T2 3D"),
    "t2-haste": ("t2_haste|t2_haste_mbh", "SSFSE T2|T2 SSFSE", "T2W_SSh", "T2 HASTE|T2 single shot"),
    "t2-haste-fs": ("t2_haste", "SSFSE T2", "T2W_SSh", "T2 HASTE"),
    "t2-flair": ("t2_tirm_dark-fluid|t2_flair", "T2 FLAIR|FLAIR", "FLAIR|T2W_FLAIR", "FLAIR|T2 FLAIR"),
    "t2-flair-3d": (
        "t2_space_dark-fluid_iso|3D_FLAIR",
        "CUBE FLAIR|CUBE T2 FLAIR",
        "3D_Brain_VIEW_FLAIR|3D_FLAIR",
        "FLAIR 3D|3D FLAIR",
    ),
    "stir": ("stir|t2_stir", "STIR|STIR FSE", "STIR|STIR_TSE", "STIR|STIR TSE"),
    "t1-mprage": (
        "t1_mprage_p2_iso|t1_mpr_iso|MPRAGE",
        "3D T1 BRAVO|BRAVO|3D FSPGR T1",
        "T1W_3D_TFE|sT1W_3D_TFE",
        "T1 MPRAGE|3D T1|T1 3D",
    ),
    "t1-spgr-3d": ("t1_fl3d|t1_flash3d", "3D T1 SPGR|3D FSPGR T1", "T1W_3D_FFE", "T1 3D|T1 3D GRE"),
    "t1-fl2d": ("t1_fl2d|t1_flash", "T1 SPGR|T1 FSPGR", "T1W_FFE", "T1 GRE|T1"),
    "t1-vibe": ("t1_vibe|t1_vibe_bh", "T1 LAVA|LAVA", "THRIVE|eTHRIVE_BH", "T1 3D GRE|T1 dyn"),
    "t1-in-phase": ("t1_fl2d_in|t1_in-phase", "T1 In Phase|T1 InPhase", "T1W_FFE_IP", "T1 in phase"),
    "t1-opposed-phase": ("t1_fl2d_opp|t1_opp-phase", "T1 Out Phase|T1 OutPhase", "T1W_FFE_OP", "T1 opposed phase"),
    "t2star-gre": ("t2star_gre|t2_fl2d_hemo", "T2* GRE|T2 STAR", "T2*W_FFE", "T2*|T2* GRE|T2 star"),
    "t2star-medic": ("t2_me2d|t2_medic", "T2* MERGE|MERGE", "mFFE|T2*W_FFE", "T2*|T2* GRE"),
    "swi": ("SWI_Images|t2_swi", "SWAN", "SWIp|SWI", "SWI"),
    "phase": ("gre_field_mapping_phase|Pha_Images", "Phase map", "Phase map", "Phase images"),
    "tof": ("TOF_3D_multi-slab|tof_fl3d", "3D TOF|TOF MRA", "3D_TOF|TOF_3D", "TOF|TOF 3D"),
    "tof-mip": ("TOF_3D_MIP", "TOF MIP|COL:3D TOF", "TOF_MIP", "TOF MIP"),
    "velocity": ("phase contrast venc80", "2D PC venc 80", "QFLOW|PC_venc100", "Phase contrast venc"),
    "balanced": ("trufi|trufisp", "FIESTA", "BTFE|BFFE", "TrueFISP"),
    "localizer": (
        "localizer|localizer_3-plane",
        "3 Plane Loc|3-Plane Localizer",
        "Survey|survey_SENSE",
        "localizer|Scout|reperage",
    ),
    "bold": ("ep2d_bold_rest|bold_task|fMRI_rest", "fMRI EPI|BOLD", "FE_EPI_fMRI|fMRI", "fMRI|BOLD rest"),
    "bolus": ("ep2d_perf", "Perfusion DSC", "PERFUSION DSC", "Perfusion|DSC perfusion"),
    "asl": ("pcasl_2d|pasl_tra", "ASL", "pCASL|ASL", "ASL"),
    "asl-3d": ("tgse_pcasl|tgse_pasl|asl_3d", "3D ASL|3D ASL (non-contrast)", "pCASL_3D|ASL_3D", "3D ASL|ASL"),
    "asl-weighted": ("Perfusion_Weighted ASL", "ASL perfusion", "ASL subtraction", "ASL perfusion weighted"),
    "cbf-map": ("relCBF", "CBF|CBF map", "CBF", "CBF"),
    "dwi-b0": ("ep2d_diff_b0|ep2d_diff_3scan_trace_p2", "DWI|DWI b0", "DWI_SSh|DWI", "DWI|DWI b0"),
    "dwi-trace": ("ep2d_diff_3scan_trace_p2_TRACEW|ep2d_diff_TRACEW", "DWI", "DWI_SSh|DWI", "DWI|Diffusion"),
    "dwi-direction": ("ep2d_diff_mddw_30|DTI_64", "DTI|DTI 32 dir", "DTI_32", "DTI|DTI 30"),
    "adc": ("ep2d_diff_3scan_trace_p2_ADC", "ADC|DWI ADC", "dADC|ADC", "ADC|ADC map"),
    "fa-map": ("ep2d_diff_mddw_30_FA", "FA map|Fractional Anisotropy", "FA map", "FA map"),
    "t1-map": ("T1 map", "T1 map", "T1 map", "T1 map"),
    "t2-map": ("T2 map", "T2 map", "T2 map", "T2 map"),
    "fat-fraction": ("fat fraction", "PDFF", "PDFF", "fat fraction"),
}
_HOUSE: Final = {"siemens": 0, "ge": 1, "philips": 2}
# Words for planes, fat suppression and contrast agent by habit; the last rows are languages.
_PLANES: Final[tuple[dict[Plane, str], ...]] = (
    {"axial": "tra", "sagittal": "sag", "coronal": "cor"},
    {"axial": "Ax", "sagittal": "Sag", "coronal": "Cor"},
    {"axial": "ax", "sagittal": "sag", "coronal": "cor"},
    {"axial": "axial", "sagittal": "sagittal", "coronal": "coronal"},
    {"axial": "axiale", "sagittal": "sagittale", "coronal": "coronale"},
    {"axial": "axial", "sagittal": "sagital", "coronal": "coronal"},
    {"axial": "assiale", "sagittal": "sagittale", "coronal": "coronale"},
    {"axial": "axial", "sagittal": "sagittal", "coronal": "koronar"},
)
_FAT: Final = ("fs", "FS", "SPAIR", "fat sat", "sat graisse", "sat grasa", "sat grasso", "fettsat")
AGENT: Final = ("post KM", "+C", "GD", "post contrast", "apres injection", "con contraste", "con mdc", "mit KM")
SILENT: Final = ("", "Series", "scan", "WIP")
# Names that need no plane.
_NO_PLANE: Final = ("localizer",)
# Families that nothing but the name tells apart from others.
_NEVER_SILENT: Final = ("bolus", "asl", "asl-3d", "swi", "tof", "fat-fraction", "localizer", "balanced", "t1-in-phase")


def describe(protocol: Protocol, d: Draw, physics: Physics) -> str:
    """A Series Description (0008,103E): true, in the style of the vendor or of a language, sometimes saying nothing."""
    house = _HOUSE.get(family(d.vendor), 3)
    if protocol.name not in _NEVER_SILENT and d.chance(0.06):
        return str(d.rng.choice(SILENT))
    habit = house if d.chance(0.7) else 3
    stems = _STEMS[protocol.name][habit].split("|")
    stem = stems[d.whole(0, len(stems) - 1)]
    words = habit if habit < 3 else d.whole(3, len(_PLANES) - 1)
    parts = [stem]
    if protocol.name not in _NO_PLANE and d.chance(0.85):
        parts.insert(0 if habit == 1 else 1, _PLANES[words][d.plane])
    if _says_fat(protocol, physics) and d.chance(0.9):
        parts.append(_FAT[words])
    if physics.agent and protocol.agent_share > 0 and d.chance(0.75):
        parts.append(AGENT[words])
    return ("_" if habit in (0, 2) else " ").join(parts)[:64]


def _says_fat(protocol: Protocol, physics: Physics) -> bool:
    """Nobody writes it of echo-planar images, which always are, nor of STIR, whose name it is."""
    return physics.fat not in ("none", "inversion") and protocol.group in ("spin-echo", "gradient-echo")
