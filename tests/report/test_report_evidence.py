"""What images in the wild say of patient and study arrives valid and in UTF-8, or not at all."""

from io import BytesIO

import pytest
from pydicom import config, dcmread
from pydicom.dataset import Dataset

from dicom_factory import mr_image
from dicom_node.report.evidence import series_number, sources, subject
from inference.identifiers import SopInstanceUid


def on_disk(image: Dataset) -> Dataset:
    """The image as it is after its bytes were written and read again."""
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return dcmread(BytesIO(buffer.getvalue()), stop_before_pixels=True)


def raw(character_set: bytes = b"", **values: bytes) -> Dataset:
    """An image whose file holds these bytes, whatever they are."""
    values = {keyword: _even(value) for keyword, value in values.items()}
    marks = {keyword: f"~{index}".ljust(len(value), "~") for index, (keyword, value) in enumerate(values.items())}
    image, buffer = mr_image(), BytesIO()
    old = config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    try:
        for keyword, mark in marks.items():
            setattr(image, keyword, mark)
        image.save_as(buffer, enforce_file_format=True)
    finally:
        config.settings.writing_validation_mode = old
    content = buffer.getvalue()
    for keyword, mark in marks.items():
        assert (content.count(mark.encode()), len(mark)) == (1, len(values[keyword]))
        content = content.replace(mark.encode(), values[keyword])
    image_type = content.index(b"\x08\x00\x08\x00CS")  # Specific Character Set (0008,0005) comes just before it
    element = b"\x08\x00\x05\x00CS" + len(_even(character_set)).to_bytes(2, "little") + _even(character_set)
    return dcmread(BytesIO(content[:image_type] + element + content[image_type:]), stop_before_pixels=True)


def _even(value: bytes) -> bytes:
    return value + b" " * (len(value) % 2)


# The examples of PS3.5 annexes H to K, and what Latin and Cyrillic names look like.
JAPANESE = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
KOREAN = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"


@pytest.mark.filterwarnings("ignore:Failed to encode value")  # pydicom, of a set that must not stand alone
@pytest.mark.parametrize(
    ("character_set", "value", "name"),
    [
        (b"\\ISO 2022 IR 87", JAPANESE, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (b"ISO 2022 IR 87", JAPANESE, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (b"ISO 2022 IR 6\\ISO 2022 IR 87", JAPANESE, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (
            b"ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
        ),
        (b"\\ISO 2022 IR 149", KOREAN, "Hong^Gildong=洪^吉洞=홍^길동"),
        (
            b"\\ISO 2022 IR 58",
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
            "Zhang^XiaoDong=张^小东",
        ),
        (b"GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"),
        (b"GBK", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"),
        (b"ISO_IR 192", "Wang^XiaoDong=王^小東".encode(), "Wang^XiaoDong=王^小東"),
        (b"ISO_IR 100", b"M\xfcller^J\xfcrgen", "Müller^Jürgen"),
        (b"ISO_IR 144", b"\xbb\xee\xda^\xbb\xee\xda", "Люк^Люк"),
        (b"ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    ],
)
def test_names_in_every_character_set_arrive_in_utf_8(character_set: bytes, value: bytes, name: str) -> None:
    copy = on_disk_again(subject(raw(character_set, PatientName=value)))
    assert copy.SpecificCharacterSet == "ISO_IR 192"
    assert str(copy.PatientName) == name


def on_disk_again(attributes: Dataset) -> Dataset:
    image = mr_image()
    image.update(attributes)
    return on_disk(image)


REQUIRED = [
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
]  # fmt: skip


@pytest.mark.parametrize("keyword", REQUIRED)
def test_a_required_attribute_that_is_missing_is_there_and_empty(keyword: str) -> None:
    copy = subject(on_disk(mr_image(**{keyword: None})))
    assert keyword in copy
    assert copy[keyword].is_empty


def test_good_values_are_copied_as_they_are() -> None:
    good = {
        "PatientName": "Doe^Jane",
        "PatientID": "X" * 64,
        "PatientBirthDate": "19700229"[:6] + "28",
        "PatientSex": "F",
        "StudyDate": "20240229",
        "StudyTime": "235959.123456",
        "StudyID": "S" * 16,
        "AccessionNumber": "A 1",
        "IssuerOfPatientID": "Hospital",
        "StudyDescription": "MR head",
    }
    copy = subject(on_disk(mr_image(**good)))
    assert {keyword: str(copy[keyword].value) for keyword in good} == good


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", b"X" * 66),
        ("PatientID", b"a\\b"),
        ("PatientID", b"a\nb\x07"),
        ("PatientName", b"A" * 66),
        ("PatientName", b"a=b=c=d "),
        ("PatientName", b"a^b^c^d^e^f "),
        ("PatientBirthDate", b"19700230"),
        ("PatientBirthDate", b"1970.01.01"),
        ("PatientBirthDate", b"00010101"),
        ("StudyDate", b"20240101-20240102 "),
        ("StudyDate", b"unknown "),
        ("StudyTime", b"12:30:00"),
        ("StudyTime", b"250000"),
        ("PatientSex", b"U "),
        ("PatientSex", b"female"),
        ("StudyID", b"S" * 18),
        ("AccessionNumber", b"A" * 18),
        ("StudyDescription", b"D" * 66),
        ("TimezoneOffsetFromUTC", b"+2500 "),
        ("TimezoneOffsetFromUTC", b"Europe"),
    ],
)
def test_a_value_that_breaks_its_rule_is_left_out(keyword: str, value: bytes) -> None:
    image = raw(**{keyword: value})
    assert not image[keyword].is_empty, "the image must hold the bad value"
    assert not subject(image).get(keyword)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_bytes_that_are_not_of_their_character_set_are_left_out() -> None:
    image = raw(b"ISO_IR 192", PatientID=b"\xff\xfe\xff\xfe\xff\xfe")
    assert image.PatientID
    assert subject(image).PatientID == ""


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_a_sequence_in_place_of_a_name_is_left_out() -> None:
    image = mr_image(PatientName=None)
    image.add_new("PatientName", "SQ", [Dataset()])
    assert subject(on_disk(image)).PatientName == ""


def test_nothing_else_of_the_image_is_copied() -> None:
    image = mr_image(PatientComments="tall", OtherPatientIDs="9", InstitutionName="Hospital", OperatorsName="Op^Er")
    image.private_block(0x0029, "VENDOR", create=True).add_new(1, "LO", "secret")
    assert set(subject(on_disk(image)).dir()) == {*REQUIRED, "SpecificCharacterSet"}


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize(
    ("value", "number"), [(b"7 ", 7), (b"0 ", None), (b"-3", None), (b"A1", None), (b"1\\2 ", None)]
)
def test_a_series_number_is_a_number_or_none(value: bytes, number: int | None) -> None:
    image = mr_image(SeriesNumber=None)
    image.add_new("SeriesNumber", "LO", value.decode())
    assert series_number(image) == number


def test_sources_are_in_the_order_of_their_uids_and_count_their_frames() -> None:
    images = [
        mr_image(SOPInstanceUID="1.2.9"),
        mr_image(SOPInstanceUID="1.2.10", NumberOfFrames=30),
        mr_image(SOPInstanceUID="1.2.9"),
    ]
    found = sources(images)
    assert list(found) == ["1.2.10", "1.2.9"]
    assert [source.frames for source in found.values()] == [30, 1]
    assert found[SopInstanceUid("1.2.9")].sop_class_uid == images[0].SOPClassUID
