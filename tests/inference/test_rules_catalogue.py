"""The table of codes is printed in the documents, and every change of rules or lexicon changes the digest."""

import re
import shutil
from pathlib import Path

import pytest
from pydicom.datadict import tag_for_keyword

from inference import rules
from inference.rules.catalogue import CODES, markdown
from inference.rules.view import ATTRIBUTES, decimal, joined, number, tag, text

ROOT = Path(__file__).parents[2]


def test_the_document_is_printed_from_the_table() -> None:
    assert (ROOT / "docs" / "rules.md").read_text(encoding="utf-8") == markdown()


def test_codes_are_kebab_case_and_their_attributes_keywords() -> None:
    for code in CODES.values():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code.code)
        if not code.attributes.startswith("any"):
            assert all(tag_for_keyword(keyword) for keyword in code.attributes.split(", ")), code.code


def test_every_code_is_used_by_a_rule() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "inference" / "rules").glob("*.py"))
    for code in CODES:
        assert sources.count(f'"{code}"') > 1, f"{code} is in the table only"


def test_every_rule_of_the_modules_is_in_the_tuple() -> None:
    assert len({rule.__name__ for rule in rules.RULES}) == len(rules.RULES)
    for rule in rules.RULES:
        assert rule.__doc__


def test_the_digest_is_of_the_version_and_of_every_byte_of_the_lexicon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = rules.digest()
    assert re.fullmatch(r"[0-9a-f]{64}", digest)
    copy = tmp_path / "lexicon"
    shutil.copytree(rules.LEXICON, copy)
    monkeypatch.setattr(rules, "LEXICON", copy)
    assert rules.digest.__wrapped__() == digest
    (copy / "sv.json").write_bytes((copy / "sv.json").read_bytes() + b"\n")
    assert rules.digest.__wrapped__() != digest
    shutil.copy(ROOT / "inference" / "rules" / "lexicon" / "sv.json", copy)
    monkeypatch.setattr(rules, "VERSION", "0")
    assert rules.digest.__wrapped__() != digest


def test_attributes_have_the_tags_of_the_dictionary() -> None:
    assert tag("EchoTime") == "(0018,0081)"
    assert tag("EffectiveEchoTime") == "(0018,9082)"
    for keyword, attribute in ATTRIBUTES.items():
        assert tag(keyword)
        assert attribute.enhanced is None or tag(attribute.enhanced)
    with pytest.raises(ValueError, match="'EchoTimes' is no keyword"):
        tag("EchoTimes")


def test_values_are_written_as_dicom_writes_them() -> None:
    assert [number(value) for value in (98.0, 0.098, 2.98, 4_000_000.0, 1e-5)] == [
        "98",
        "0.098",
        "2.98",
        "4000000",
        "1e-05",
    ]
    assert decimal(98.0) == "98.0"
    assert decimal(0.1 + 0.2) == "0.3"
    assert text(("GR", "IR")) == "GR\\IR"
    assert text((0.9, 0.9)) == "0.9\\0.9"
    assert text(()) is None
    assert text(None) is None
    assert len(text("x" * 100) or "") == 64
    assert [joined(values) for values in (["a"], ["a", "b"], ["a", "b", "c"], [])] == ["a", "a or b", "a, b or c", ""]
