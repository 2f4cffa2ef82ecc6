"""What files say is shown, and obeyed by nobody: neither by the terminal nor as markup."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from dicom_factory import mr_image, write
from dicom_node.cli import group
from dicom_node.commands.read_output import Sinks, print_table
from dicom_node.commands.terminal import clean
from inference.read import Reader, read_paths

RULES = Reader(model=None)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("t2_tse [fs] Schädel 頭部", "t2_tse [fs] Schädel 頭部"),
        ("\x1b[2J\a", r"\x1b[2J\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u202eb\u200bc", r"a\u202eb\u200bc"),
        ("one\ntwo\tthree", r"one\ntwo\tthree"),
        (os.fsdecode(b"\xffname"), r"\udcffname"),
    ],
)
def test_clean(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert clean(text, keep=text) == text


@pytest.mark.parametrize("marked", ["[fs]", "[/fs]", "[red]", "\x1b[2J", "\x9b31m", "\u202e"])
def test_a_finding_quotes_a_description_as_it_is(
    marked: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = mr_image(
        SpecificCharacterSet="ISO_IR 192", SeriesDescription=f"t2 tse {marked}", ProtocolName="t1 se", EchoTime=98,
        RepetitionTime=4000,
    )  # fmt: skip
    print_table(read_paths([write(image, tmp_path / "1.dcm")], RULES, threads=1))
    printed = capsys.readouterr().out
    assert f"t2 tse {clean(marked)}" in printed
    assert printed.replace("\n", "") == clean(printed.replace("\n", ""))


def test_a_refused_file_is_named_whatever_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / os.fsdecode(b"\xff\x1b[31m.dcm")).write_text("no DICOM")
    reading = read_paths([tmp_path], RULES, threads=1)
    page = tmp_path / "page.html"
    Sinks(reader=RULES, sr_folder=None, html_file=page, npz_file=None).close(reading)
    print_table(reading)
    printed = capsys.readouterr().out.replace("\n", "")
    assert r"\udcff\x1b[31m.dcm" in printed
    assert r"\udcff" in page.read_text(encoding="utf-8")


def test_what_could_not_be_sent_is_named_whatever_its_name(tmp_path: Path) -> None:
    archive = tmp_path / os.fsdecode(b"\xff\x1b[31m.zip")
    archive.write_bytes(b"PK\3\4 and no more")
    done = CliRunner().invoke(group, ["send", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 1
    assert r"\udcff\x1b[31m.zip: the zip archive cannot be opened" in done.stderr
