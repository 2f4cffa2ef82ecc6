"""Codes mean what DICOM says they mean, and every label has one."""

import pytest
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_node.report import codes as concepts
from inference import labels

USED = [value for value in vars(concepts).values() if isinstance(value, Code)] + list(concepts.CONTRAST.values())
# What each label's code must be in PS3.16 by its name in pydicom's tables; all others are ours.
STANDARD = {
    "T1": "T1WeightedMRSignalIntensity",
    "T2": "T2WeightedMRSignalIntensity",
    "PROTON_DENSITY": "ProtonDensityWeightedMRSignalIntensity",
    "T2_STAR": "T2StarWeightedMRSignalIntensity",
    "TOF": "TimeOfFlightAngioMRSignalIntensity",
    "DIFFUSION": "DiffusionWeighted",
    "ADC": "ApparentDiffusionCoefficient",
}


@pytest.mark.parametrize("label", [*labels.CONTRASTS, labels.UNKNOWN, labels.MIXED])
def test_a_label_has_the_code_of_the_standard_or_itself_in_our_scheme(label: str) -> None:
    code = concepts.CONTRAST[label]
    if label in STANDARD:
        standard = getattr(codes.DCM, STANDARD[label])
        assert (code.value, code.scheme_designator, code.meaning) == (standard.value, "DCM", standard.meaning)
    else:
        assert (code.value, code.scheme_designator) == (label, "99MRCLIP")


@pytest.mark.parametrize("code", [code for code in USED if code.scheme_designator in ("DCM", "UCUM")], ids=str)
def test_a_standard_code_is_in_the_tables_with_its_meaning(code: Code) -> None:
    table = getattr(codes, code.scheme_designator)
    same = [concept for name in table.dir() if (concept := getattr(table, name)).value == code.value]
    assert code.meaning in [concept.meaning for concept in same]


@pytest.mark.parametrize("code", USED, ids=str)
def test_a_code_fits_its_value_representations(code: Code) -> None:
    assert len(code.value) <= 16
    assert len(code.scheme_designator) <= 16
    assert len(code.meaning) <= 64


def test_codes_are_told_apart() -> None:
    assert len({(code.value, code.scheme_designator) for code in USED}) == len(USED)
