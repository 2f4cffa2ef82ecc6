"""What the operator's words are taken for, in eight languages, and what they must not be taken for."""

import json

import pytest

from inference.claims import description_claim
from inference.claims_wording import LEXICON
from inference.labels import CONTRASTS

COMPOSED = {"without", "before", "agent:named", "fat:named"}  # what phrases are made of; no concepts of a text
T1, T2, PD, FLAIR, STIR = "T1", "T2", "PROTON_DENSITY", "FLUID_ATTENUATED", "STIR"

CONTRAST_OF = {
    # English and vendor names
    "AX T1 SE": T1, "t1_mprage_sag_p2_iso": T1, "AxT1": T1, "3DT1": T1, "SAGT1FS": T1, "T1-weighted": T1,
    "Ax 3D BRAVO": T1,
    "t1_vibe_fs_tra_bh": T1, "eThrive": T1, "AX T1 FLAIR": T1, "t1_tirm_tra_dark-fluid": T1, "legacy T1": T1,
    "T1_ISOTROPIC_1.00MM": T1, "T1 W/O CONTRAST": T1, "fMRI_T1_anat": T1, "MP2RAGE_UNI": T1,
    "t2_tse_tra_512": T2, "T2W_TSE": T2, "T2 SAG -CSF": T2, "C-SPINE T2": T2, "MRCP thick slab": T2, "t2_haste_cor": T2,
    "T2 post fossa": T2,
    "pd_tse_fs_cor_lateral": PD, "PDW_SPAIR": PD, "Sag PD FS": PD,
    "Ax T2 FLAIR": FLAIR, "T2-FLAIR": FLAIR, "SAGT2FLAIR": FLAIR, "FLAIR_Sag_GAP": FLAIR,
    "t2_tirm_tra_dark-fluid": FLAIR,
    "t2_space_da-fl_sag": FLAIR, "T2 Dark Fluid": FLAIR,
    "COR STIR": STIR, "t2_tirm_cor": STIR, "T2W_STIR": STIR,
    "T2*": "T2_STAR", "AX T2* GRE": "T2_STAR", "t2_fl2d_tra_hemo": "T2_STAR", "T2star": "T2_STAR",
    "t2_me2d_tra": "T2_STAR",
    "ep2d_bold_moco": "T2_STAR", "fMRI_MB_asc": "T2_STAR", "func-bold_task-fa_run-1": "T2_STAR", "T2W_FFE": "T2_STAR",
    "DWI_SSh": "DIFFUSION", "ep2d_diff_3scan_trace_p2": "DIFFUSION", "DTI 64 dir": "DIFFUSION",
    "Diff tra": "DIFFUSION", "T1 FS GADO DIFF": T1,
    "Ax b=1000": "DIFFUSION",
    "ep2d_diff_b50_400_800_TRACEW": "DIFFUSION", "DWI_dir80_PA_TENSOR_B0": "DIFFUSION",
    "ep2d_diff_3scan_trace_p2_ADC": "ADC", "dADC": "ADC", "Apparent Diffusion Coefficient (mm2/s)": "ADC",
    "DWI_dir80_PA_FA": "DERIVED_MAP", "DWI_dir80_PA_ColFA": "DERIVED_MAP", "relCBF": "DERIVED_MAP",
    "T1 map": "DERIVED_MAP",
    "T2* map": "DERIVED_MAP", "eADC": "DERIVED_MAP",
    # a map that is named with the b-values it was made from
    "ep2d_diff_b50_400_800_ADC": "ADC", "ADC (b50,b800)": "ADC", "b50_800 ADC": "ADC", "eADC b1000": "DERIVED_MAP",
    # ... or whose series is named after it
    "ADC DWI": "ADC", "ADC map (DWI)": "ADC", "ADC from DWI": "ADC", "dADC - DWI_3b": "ADC", "Mapa ADC difusion": "ADC",
    "Carte ADC diffusion": "ADC", "mappa ADC diffusione": "ADC", "ADC diffusie": "ADC", "eADC DWI": "DERIVED_MAP",
    "DTI FA map b1000": "DERIVED_MAP", "b1000 FA": "DERIVED_MAP", "ep2d_diff_b50_800_ADC_TRACEW": "DIFFUSION",
    "swi_Mag": "SUSCEPTIBILITY", "VenoBOLD": "SUSCEPTIBILITY",
    "Ax SWAN": "SUSCEPTIBILITY", "SWIp": "SUSCEPTIBILITY", "Pha_Images": "PHASE",
    "3D TOF MRA": "TOF", "TOF_3D_multi-slab": "TOF", "TimeOfFlight": "TOF", "3D ASL": "PERFUSION",
    "pcasl_2d_m0": "PERFUSION",
    "Perfusion_Weighted": "PERFUSION", "ep2d_perf": "PERFUSION", "4D Flow": "FLOW_ENCODED",
    "Phase contrast MRA": "FLOW_ENCODED",
    # German, French, Spanish, Italian, Swedish, Dutch, Portuguese
    "T1-gewichtet sagittal": T1, "T2-Gewichtung axiell": T2, "T2 stern": "T2_STAR",
    "Diffusionsgewichtet b 1000": "DIFFUSION",
    "Protonendichte kor": PD, "T2 Étoile cor": "T2_STAR", "Densité de protons": PD, "DP FATSAT": PD,
    "Pondération T2": T2,
    "Difusión axial": "DIFFUSION", "T2 estrella": "T2_STAR", "potenciada en T1": T1, "Diffusione ass": "DIFFUSION",
    "T1 pesata": T1, "T2 stella": "T2_STAR", "T1-viktad": T1, "Diffusionsviktad": "DIFFUSION", "T2 stjärna": "T2_STAR",
    "Protontäthet": PD, "T1 gewogen": T1, "Difusão": "DIFFUSION", "T2 estrela": "T2_STAR",
    # nothing, or nothing certain
    "Mag_images": None, "ep2d_pos_dist": None, "b1 map": None, "B0map": None, "gre_field_mapping": None, "COR_SW": None,
    "trufi_cor_bh": None, "gre phase diff": None, "AX T1 T2 FLAIR": None, "T1 localizer": None, "PD+T2 TSE": None,
    "T1rho": None, "t2star_prep_tfl": None, "T2* prep": None, "IVIM_perfusion": None, "Spin Echo": None, "": None,
    "MRA": None,
    "ANONYMIZED": None, "sag": None,
}  # fmt: skip

POST_CONTRAST_OF = {
    "AX T1 POST": True, "T1+C": True, "T1 SAG +C": True, "T1 C+": True, "t1_se_tra_KM": True, "T1 m. KM": True,
    "T1 mKM": True,
    "T1 +K": True, "T1 post gd": True, "t1c": True, "AX T1 GAD FS": True, "T1 nach KM": True,
    "T1 après injection": True,
    "T1 avec gado": True, "T1 con contraste": True, "T1 dopo mdc": True, "T1 con mdc": True, "T1 med kontrast": True,
    "med_gd T1": True,
    "T1 pós-contraste": True, "T1 met contrast": True, "T1 with contrast": True, "T1 W CONTRAST": True,
    "T1FSPOST": True,
    "portal venous": True, "T1 hepatobiliary": True, "T1 SAG PostGd": True,
    "T1 nativ": False, "T1 ohne KM": False, "T1 o.KM": False, "T1 o. KM": False, "T1 vor KM": False, "AX T1 PRE": False,
    "T1 W/O CONTRAST": False, "T1 without contrast": False, "T1 pre-contrast": False, "T1 sans injection": False,
    "T1 sans gado": False, "T1 sin contraste": False, "T1 senza mdc": False, "T1 utan kontrast": False,
    "utan_gd T1": False,
    "T1 C- SAG": False, "T1 -C": False, "T1 zonder contrast": False, "T1 sem contraste": False, "T1 blanco": False,
    # the innocent of peers' regular expressions, and other words that hold a telling one
    "pd_tse_fs_cor_lateral": None, "Mag_images": None, "swi_Mag": None, "FLAIR_Sag_GAP": None,
    "T1_ISOTROPIC_1.00MM": None,
    "ep2d_pos_dist": None, "T2 SAG -CSF": None, "legacy T1": None, "C-SPINE T2": None, "T2 post fossa": None,
    "T1 postop": None, "t1 post op": None, "T2prep": None, "phase contrast": None, "T1 w wo": None,
    "epiRT IntAsc GD0": None,
    "arterial spin labeling": None, "T1 pre post": None, "SI joints T1": None, "prescan": None, "T1": None,
    "posterior T2": None,
    "preterm T1": None, "kmeans": None,
    # a hyphen between words is no minus, the cervical spine is no contrast, and not all that is after is after an agent
    "T1 AX GD - FS": True, "T1_COR_GD_-_MPR": True, "T1 (GD-)": False, "T1 +/- C": None, "T1 +/-GD": None,
    "SAG T2 - C SPINE": None, "AX T2 C - L SPINE": None, "SAG T2 -C SPINE": None, "T1 W/ C-SPINE": None,
    "SAG T2 W C-SPINE": None, "SAG T1 W CONTRAST C-SPINE": True, "T1 post-operatorio": None, "T2 post chirurgia": None,
    "T2 post quirúrgico": None, "STIR post trauma": None, "T1 post-chemo": None, "T1 post radiotherapy": None,
    "T2 post MI": None, "T2 post prostatectomy": None, "PD SAG POST HORN": None, "T2 POST ARCH": None,
    "T1 post-op GD": True,
}  # fmt: skip

PLANES_OF = {
    "t2_tse_tra": {"axial"}, "Ax T1": {"axial"}, "OAx T2": {"axial"}, "T2 axiell": {"axial"},
    "T1 transversal": {"axial"},
    "T2 assiale": {"axial"}, "T1 axiaal": {"axial"}, "Sag T2": {"sagittal"}, "T1 sagital": {"sagittal"},
    "T1 sagittell": {"sagittal"}, "T2 sagittale": {"sagittal"}, "cor STIR": {"coronal"}, "T1 koronar": {"coronal"},
    "STIR coronale": {"coronal"}, "T1 kor": {"coronal"}, "koronal T2": {"coronal"}, "SAGT1": {"sagittal"},
    "t2_tra4mm": {"axial"},
    "trapezoid": set(), "corpus": set(), "saga": set(), "lateral": set(), "cor tra": {"coronal", "axial"},
}  # fmt: skip


@pytest.mark.parametrize(("text", "label"), CONTRAST_OF.items())
def test_the_contrast_in_words(text: str, label: str | None) -> None:
    assert description_claim(text).label == label


@pytest.mark.parametrize(("text", "post_contrast"), POST_CONTRAST_OF.items())
def test_the_agent_in_words_negatives_before_positives(text: str, post_contrast: bool | None) -> None:
    assert description_claim(text).post_contrast is post_contrast


@pytest.mark.parametrize(("text", "planes"), PLANES_OF.items())
def test_the_plane_in_words(text: str, planes: set[str]) -> None:
    assert description_claim(text).planes == planes


@pytest.mark.parametrize(
    ("text", "fat_suppressed"),
    {
        "pd_tse_fs_cor": True, "T1 FatSat": True, "T2 SPAIR": True, "T1 Fettsättigung": True, "T2 sat de graisse": True,
        "T2 saturación grasa": True, "T1 soppressione del grasso": True, "T2 fettmättad": True, "COR STIR": True,
        "T1 non FS": False, "T2 ohne FS": False, "T2 sans FatSat": False, "T1 tse": None,
        "t2_tirm_tra_dark-fluid": None,
    }.items(),
)  # fmt: skip
def test_fat_suppression_in_words(text: str, fat_suppressed: bool | None) -> None:
    assert description_claim(text).fat_suppressed is fat_suppressed


@pytest.mark.parametrize(
    ("text", "b_values"),
    {
        "ep2d_diff_b50_400_800_TRACEW": (50, 400, 800), "DWI b=1000": (1000,), "DWI b 0, 1000": (0, 1000),
        "b-Wert 800": (800,),
        "bval1500": (1500,), "b0": (0,), "b1 map": (), "B0map": (), "C2-B12": (), "rib1000": (), "b1000_2": (1000,),
        "DWI": (),
        "b1000s/mm2": (1000,),
    }.items(),
)  # fmt: skip
def test_b_values_in_words(text: str, b_values: tuple[int, ...]) -> None:
    assert description_claim(text).b_values_s_mm2 == b_values


def test_a_dual_echo_leaves_room_for_both_weightings() -> None:
    assert description_claim("PD+T2 TSE").allowed == {PD, T2}
    assert description_claim("t2_tirm_cor").allowed == {STIR, FLAIR}


@pytest.mark.parametrize("text", ["UTE_cor", "Ax ZTE", "Sag oZTEo", "OZTEO SHOULDER", "mUTE 4D-MRA", "MUTE", "petra"])
def test_ultrashort_sequences_by_their_vendors_names(text: str) -> None:
    assert "sequence:UTE" in description_claim(text).concepts


SPELLINGS = (
    "SmartBrain", "VenoBOLD", "DarkFluid", "TrueFISP", "TimeOfFlight", "PreScan", "PlanScan", "FatSat", "FatSup",
    "MultiEcho", "DualEcho", "PhaseMap", "FatFraction", "FieldMap", "SpinEcho", "GradientEcho", "ColFA", "relCBF",
    "StarVIBE", "eTHRIVE", "mFFE", "bFFE", "isoDWI", "oZTEo", "SyntAC", "SyMRI", "mKM", "nonFS", "PostCon", "PreCon",
    "AAScout", "SatGraisse", "VetSat", "ParaCor", "T2Star", "T2Prep", "T1Map", "TraceW", "SWIp", "TruFI",
)  # fmt: skip


@pytest.mark.parametrize("text", SPELLINGS)
def test_one_word_of_the_lexicon_is_found_in_its_camel_case_spelling(text: str) -> None:
    files = [json.loads(file.read_text(encoding="utf-8")) for file in LEXICON.glob("*.json") if file.stem != "glue"]
    assert any(text.casefold() in terms for file in files for terms in file.values()), "no term of the lexicon"
    assert description_claim(text).concepts == description_claim(text.casefold()).concepts


@pytest.mark.parametrize(
    "text", ["3-Plane Localizer", "SmartBrain_T1", "AAHead_Scout", "Survey", "Übersicht", "Repérage", "localizador"]
)
def test_localizers_are_called_so_and_claim_no_contrast(text: str) -> None:
    assert description_claim(text).localizer
    assert description_claim(text).label is None


def test_every_file_of_the_lexicon_holds_lists_of_plain_words_under_known_concepts() -> None:
    axes = {"agent": {"yes", "no", "named"}, "fat": {"yes", "no", "named"},
            "plane": {"axial", "sagittal", "coronal", "oblique"}, "contrast": {*CONTRASTS, "TIRM"},
            "weak": set(CONTRASTS), "sequence": {"SE", "GR", "EP", "IR", "SSFP", "UTE", "T1FLAIR"},
            "product": {"trace", "fa"}}  # fmt: skip
    alone = {"localizer", "relaxometry", "reformat", "neutral", "extremity", "glue", "without", "before"}
    files = sorted(LEXICON.glob("*.json"))
    assert [file.stem for file in files] == ["de", "en", "es", "fr", "glue", "it", "mr", "nl", "pt", "sv"]
    for file in files:
        for concepts, terms in json.loads(file.read_text(encoding="utf-8")).items():
            assert len(terms) == len(set(terms)), f"{file.name}: {concepts} lists a term twice"
            for concept in concepts.split(" "):
                axis, _, value = concept.partition(":")
                assert concept in alone or value in axes[axis], f"{file.name}: {concept}"
            for term in terms:
                assert term == term.casefold().strip(), f"{file.name}: {term!r} is not plain"


def test_every_phrase_of_the_lexicon_is_found_in_a_text_that_is_that_phrase() -> None:
    for file in LEXICON.glob("*.json"):
        if file.stem != "glue":
            for concepts, terms in json.loads(file.read_text(encoding="utf-8")).items():
                claimed = set(concepts.split(" ")) - COMPOSED
                for term in terms:
                    text = term.replace("- ", "-").replace(" -", "-")  # a minus between blanks is no sign
                    assert claimed <= description_claim(text).concepts, f"{file.name}: {term!r}"


DENIED = {
    "agent": (
        "ohne Gado", "vor Gado", "kein Gadovist", "vor KM-Gabe", "sans gd", "sans Dotarem", "avant gd", "s/ inj",
        "avant l'injection", "sem gado", "s/ gd", "antes do gadolinio", "sin gadovist", "senza gado", "prima del mdc",
        "zonder gado", "voor gd", "före gado", "innan gd", "utan Dotarem", "without gado", "w/o gado", "before gd",
        "prior to contrast", "non gado", "no KM", "non-CE MRA", "pre Dotarem", "no contrast agent",
    ),
    "fat": (
        "s/fs", "sem fatsat", "sin fatsat", "senza fatsat", "zonder fatsat", "ohne spair", "ohne Fettunterdrückung",
        "sans sat de graisse", "sem sat gordura", "senza sat grasso", "zonder vetsuppressie", "utan fettsat", "no spir",
        "no fat sup", "non-fat suppressed", "without fatsat", "without fat saturation", "w/o SPAIR", "kein FatSat",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("axis", "text"), [(axis, text) for axis, texts in DENIED.items() for text in texts])
def test_what_is_denied_in_words_is_not_claimed(axis: str, text: str) -> None:
    claim = description_claim(f"T1 {text} sag")
    assert {"agent": claim.post_contrast, "fat": claim.fat_suppressed}[axis] is False
    assert claim.label == T1


def test_what_denies_an_agent_before_it_is_given_denies_no_fat_suppression() -> None:
    assert description_claim("T1 vor FS").fat_suppressed is True


def test_every_language_denies_its_own_names_and_those_that_all_use() -> None:
    files = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in LEXICON.glob("*.json")}
    for language in sorted(files.keys() - {"glue", "mr"}):
        for word in files[language]["without"]:
            assert description_claim(f"{word} gadolinium").post_contrast is False, word
            assert description_claim(f"{word} fatsat").fat_suppressed is False, word
