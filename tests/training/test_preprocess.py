"""Preprocessing: what it makes, that it looks as reading makes it, and what it says of volumes it cannot use."""

import csv
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import dicom_factory
from inference.pixels import PixelSpec, prepare, read_slices, standardise
from inference.sources import find, load
from inference.stacks import choose, split
from training.data.batches import read_slice
from training.data.labels import read_label_map
from training.data.rows import read_rows
from training.errors import RefusedError
from training.preprocess.run import preprocess
from training.preprocess.spec import PreprocessSpec
from training.preprocess.volume import spread
from training.recipe import load_recipe

SIDECAR = {
    "Modality": "MR", "MagneticFieldStrength": 3, "Manufacturer": "GE", "ManufacturersModelName": "SIGNA_HDx",
    "SeriesDescription": "Ax_T2", "MRAcquisitionType": "2D", "ScanningSequence": "SE", "SequenceVariant": "SK",
    "EchoTime": 0.10192, "RepetitionTime": 5.36, "FlipAngle": 90, "ImageType": ["ORIGINAL", "PRIMARY", "M"],
}  # fmt: skip
ONE_PART = {"val_share": 0.0, "test_share": 0.0, "size_px": 64}


def head(shape: tuple[int, int, int] = (48, 56, 12), seed: int = 0) -> npt.NDArray[np.float32]:
    """An ellipsoid with ellipsoids in it: no symmetry, so that a flip or a transposition shows."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij"))
    volume = 400.0 * ((grid / np.array([0.8, 0.9, 1.3])[:, None, None, None]) ** 2).sum(0).__lt__(1)
    for _ in range(5):
        centre, radius = random.uniform(-0.4, 0.4, (3, 1, 1, 1)), random.uniform(0.1, 0.4, (3, 1, 1, 1))
        volume[(((grid - centre) / radius) ** 2).sum(0) < 1] = random.uniform(100, 1000)
    return (volume + random.uniform(0, 20, shape)).astype(np.float32)


def write_nifti(
    path: Path, values: npt.NDArray[Any], *, sidecar: dict[str, Any] | None = None, affine: Any = None
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.diag([1, 1, 4, 1]) if affine is None else affine), path)
    if sidecar is not None:
        path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json").write_text(json.dumps(sidecar))
    return path


def broken(out: Path) -> dict[str, str]:
    with (out / "broken.csv").open() as file:
        return {row["volume"]: row["code"] for row in csv.DictReader(file)}


def test_native_stacks_become_slices_rows_labels_and_a_split(tmp_path: Path) -> None:
    for subject in range(5):
        for number, echo in enumerate((0.012, 0.10192)):
            path = tmp_path / f"in/sub-{subject}/sub-{subject}_run-{number}_T2w.nii.gz"
            write_nifti(path, head(seed=subject), sidecar={**SIDECAR, "EchoTime": echo})
    summary = preprocess(tmp_path / "in", tmp_path / "out", PreprocessSpec(size_px=64, slices=8))
    assert (summary.volumes, summary.broken, summary.labels, summary.labels_of_one_volume) == (10, 0, 2, 0)
    rows = {part: read_rows(tmp_path / f"out/{part}.csv") for part in ("train", "val", "test")}
    assert [len({row.group for row in rows[part]}) for part in rows] == [3, 1, 1]
    assert not {row.group for row in rows["train"]} & {row.group for row in rows["val"] + rows["test"]}
    row = rows["train"][0]
    assert row.caption.EchoTime_ms in (12.0, 101.92)
    assert (row.caption.plane, row.caption.RepetitionTime_ms, row.caption.Manufacturer) == ("axial", 5360.0, "GE")
    with Image.open(tmp_path / "out" / row.filepath) as image:
        assert (image.mode, image.size) == ("L", (64, 64))
    numbers = read_label_map(tmp_path / "out/labels.json")
    assert all(numbers.number(row.caption) == row.label for part in rows.values() for row in part)
    assert {row.filepath.rsplit("/", 1)[0] for row in rows["train"] if row.volume == rows["train"][0].volume} == {
        f"slices/{rows['train'][0].volume}"
    }


def test_the_published_sentence(tmp_path: Path) -> None:
    values = np.zeros((150, 44, 44), np.float32)
    values[:, 10:30, 12:34] = 100 + 5 * np.arange(150)[:, None, None]
    write_nifti(tmp_path / "in/s/a.nii.gz", values, sidecar={**SIDECAR, "ScanningSequence": "SE_IR"}, affine=np.eye(4))
    recipe = load_recipe("paper", ["preprocess.val_share=0", "preprocess.test_share=0", "preprocess.size_px=44"])
    preprocess(tmp_path / "in", tmp_path / "out", recipe.preprocess)
    rows = read_rows(tmp_path / "out/train.csv")
    # equal voxels: the published rule takes the first axis, so it is called sagittal; even slices of 50..150
    assert [int(Path(row.filepath).stem) for row in rows] == list(range(50, 150, 2))
    assert rows[0].text == (
        "A brain MRI, plane sagittal, Scanner (Manufacturer, Model, Field Strength): (GE, SIGNA_HDx, 3), Acquisition "
        "(Description, Sequence, Variant): (Ax_T2, SE_IR, SK), Imaging Parameters (Echo Time, Repetition Time, "
        "Inversion Time, Flip Angle): (0.10192, 5.36, NONE, 90)"
    )


# row and column directions as scanners write them (PS3.3 C.7.6.2.1.1)
ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
}


def as_nifti(slices: npt.NDArray[Any], orientation: tuple[int, ...], spacing_mm: float) -> nib.Nifti1Image:
    """The volume of a DICOM series as NIfTI: array axes column, row, slice; L, P to R, A."""
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([1.3 * row, column, spacing_mm * np.cross(row, column)])
    affine[:2] *= -1
    return nib.Nifti1Image(np.transpose(slices, (2, 1, 0)).astype(np.int16), affine)


@pytest.mark.parametrize("plane", ORIENTATIONS)
@pytest.mark.parametrize("turn", ["as-is", "flipped", "ras"])
def test_nifti_shows_what_dicom_shows(tmp_path: Path, plane: str, turn: str) -> None:
    orientation = ORIENTATIONS[plane]
    slices = np.transpose(head((44, 52, 10)), (2, 1, 0)).astype(np.uint16)
    normal = np.cross(orientation[:3], orientation[3:])
    images = dicom_factory.series(
        10,
        ImageOrientationPatient=list(orientation),
        ImagePositionPatient=lambda index: [float(part) for part in 4.0 * index * normal],
        pixels=lambda index: slices[index],
        SpacingBetweenSlices=4,
        PixelSpacing=[1.0, 1.3],
    )
    dicom_factory.write_series(images, tmp_path / "dicom")
    image = as_nifti(slices, orientation, 4.0)
    if turn == "flipped":  # dcm2niix turns rows upside down
        image = nib.Nifti1Image(image.dataobj[:, ::-1], image.affine @ np.diag([1, -1, 1, 1]))
    if turn == "ras":
        image = nib.as_closest_canonical(image)
    write_nifti(tmp_path / "nifti/a.nii", np.asarray(image.dataobj), sidecar=SIDECAR, affine=image.affine)
    pictures = []
    for name in ("dicom", "nifti"):
        preprocess(tmp_path / name, tmp_path / f"{name}-out", PreprocessSpec(slices=40, **ONE_PART))
        rows = read_rows(tmp_path / f"{name}-out/train.csv")
        assert {row.caption.plane for row in rows} == {plane}
        pictures.append(sorted(read_slice(tmp_path / f"{name}-out" / row.filepath, 64).tobytes() for row in rows))
    assert len(pictures[0]) == 8  # the middle 80 % of 10
    assert pictures[0] == pictures[1]


def test_an_isotropic_volume_takes_its_plane_from_the_header_not_from_the_smallest_spacing(tmp_path: Path) -> None:
    values = head((48, 52, 56))
    orientation = {"ImageOrientationPatientDICOM": [0, 1, 0, 0, 0, -1]}
    write_nifti(tmp_path / "in/a/sag.nii.gz", values, sidecar={**SIDECAR, **orientation}, affine=np.eye(4))
    write_nifti(tmp_path / "in/b/plain.nii.gz", values, sidecar=SIDECAR, affine=np.eye(4))
    cosine, sine = np.cos(np.radians(40)), np.sin(np.radians(40))
    turned = np.eye(4)
    turned[:3, :3] = [[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]  # axis 0 points 40 degrees from R to I
    oblique = {"ImageOrientationPatientDICOM": [0, -1, 0, -sine, 0, cosine]}  # axis 1 and axis 2, in L, P, S
    write_nifti(tmp_path / "in/c/oblique.nii.gz", values, sidecar={**SIDECAR, **oblique}, affine=turned)
    preprocess(tmp_path / "in", tmp_path / "out", PreprocessSpec(**ONE_PART))
    planes = {row.volume.split("_")[0]: row.caption.plane for row in read_rows(tmp_path / "out/train.csv")}
    # without a word, the last axis is that of the slices
    assert planes == {"a": "sagittal", "b": "axial", "c": "sagittal"}


def test_training_and_reading_prepare_pixels_by_the_same_code(tmp_path: Path) -> None:
    images = dicom_factory.series(20, pixels=lambda index: dicom_factory.object_pixels(60, 80, seed=index))
    dicom_factory.write_series(images, tmp_path / "in")
    spec = PixelSpec(size_px=48, mean=0.25, std=0.25)
    instances = {one.sop_instance_uid: one for one in map(load, find([tmp_path / "in"]))}  # type: ignore[union-attr]
    (stack,) = split([header for one in instances.values() for header in one.headers])  # type: ignore[union-attr]
    chosen = choose(stack, 16)
    read = prepare(read_slices(chosen, instances), spec, pixel_spacing_mm=stack.header.pixel_spacing_mm)  # type: ignore[arg-type]
    preprocess(tmp_path / "in", tmp_path / "out", PreprocessSpec(slices=16, **{**ONE_PART, "size_px": 48}))
    rows = read_rows(tmp_path / "out/train.csv")
    trained = standardise(np.stack([read_slice(tmp_path / "out" / row.filepath, 48) for row in rows]), spec)
    assert trained.shape == read.shape
    # 8 bits on disk: half a grey level, over the standard deviation
    np.testing.assert_allclose(trained, read, atol=0.5 / 255 / spec.std + 1e-6)


def test_slices_are_chosen_as_reading_chooses_them() -> None:
    for count, length in ((16, 20), (24, 60), (5, 3), (40, 10)):
        images = dicom_factory.series(length)
        (stack,) = split([header for image in images for header in headers(image)])
        positions = [slice_.header.instance_number for slice_ in choose(stack, count)]
        numbers = [stack.frames[place].instance_number for place in spread(length, count)]
        assert positions == numbers


def headers(image: Any) -> Any:
    from inference.header import frame_headers

    return frame_headers(image)


def test_broken_volumes_are_listed_with_their_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    source = tmp_path / "in"
    good = head()
    write_nifti(source / "good/a.nii.gz", good, sidecar=SIDECAR)
    write_nifti(source / "b/no_sidecar.nii.gz", good)
    write_nifti(source / "b/four.nii.gz", np.stack([good, good], axis=-1), sidecar=SIDECAR)
    write_nifti(source / "b/nan.nii.gz", np.where(good > 500, np.nan, good).astype(np.float32), sidecar=SIDECAR)
    write_nifti(source / "b/empty.nii.gz", np.zeros_like(good), sidecar=SIDECAR)
    write_nifti(source / "b/small.nii.gz", head((20, 20, 5)), sidecar=SIDECAR)
    write_nifti(source / "b/noise.nii.gz", np.random.default_rng(0).random((64, 64, 9)), sidecar=SIDECAR)
    write_nifti(source / "b/singular.nii.gz", good, sidecar=SIDECAR)
    singular = nib.Nifti1Image(good, None)
    singular.header["sform_code"], singular.header["srow_x"] = 1, [1, 0, 0, 0]
    nib.save(singular, source / "b/singular.nii.gz")
    (source / "b/text.nii").write_text("no NIfTI")
    (source / "b/text.json").write_text("{}")
    cut = (source / "good/a.nii.gz").read_bytes()[:2000]
    (source / "b/cut.nii.gz").write_bytes(cut)
    (source / "b/cut.json").write_text("{}")
    write_nifti(source / "b/words.nii.gz", good, sidecar={**SIDECAR, "EchoTime": "short"})
    write_nifti(source / "b/nan_echo.nii.gz", good, sidecar={**SIDECAR, "EchoTime": float("nan")})
    write_nifti(source / "b/negative.nii.gz", good, sidecar={**SIDECAR, "RepetitionTime": -1})
    write_nifti(source / "b/ct.nii.gz", good, sidecar={**SIDECAR, "Modality": "CT"})
    (write_nifti(source / "b/list.nii.gz", good).with_name("list.json")).write_text("[]")
    summary = preprocess(source, tmp_path / "out", PreprocessSpec(**ONE_PART))
    assert (summary.volumes, summary.broken) == (1, 14)
    assert broken(tmp_path / "out") == {
        "b/no_sidecar.nii.gz": "missing-sidecar",
        "b/four.nii.gz": "not-3d",
        "b/nan.nii.gz": "not-finite",
        "b/empty.nii.gz": "constant",
        "b/small.nii.gz": "too-small",
        "b/noise.nii.gz": "noise",
        "b/singular.nii.gz": "broken-affine",
        "b/text.nii": "unreadable",
        "b/cut.nii.gz": "unreadable",
        "b/words.nii.gz": "broken-sidecar",
        "b/nan_echo.nii.gz": "broken-sidecar",
        "b/negative.nii.gz": "broken-sidecar",
        "b/ct.nii.gz": "not-mr",
        "b/list.nii.gz": "broken-sidecar",
    }


def test_a_fourth_axis_of_one_is_no_fourth_axis(tmp_path: Path) -> None:
    write_nifti(tmp_path / "in/a.nii.gz", head()[..., None], sidecar=SIDECAR)
    assert preprocess(tmp_path / "in", tmp_path / "out", PreprocessSpec(**ONE_PART)).broken == 0


def test_parallel_is_the_same_and_a_second_run_reads_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        write_nifti(tmp_path / f"in/sub-{number}/a.nii.gz", head(seed=number), sidecar=SIDECAR)
    dicom_factory.write_series(dicom_factory.series(6), tmp_path / "in/dicom")
    spec = PreprocessSpec(size_px=48)
    assert preprocess(tmp_path / "in", tmp_path / "one", spec) == preprocess(
        tmp_path / "in", tmp_path / "two", spec, workers=2
    )
    for name in ("train.csv", "val.csv", "test.csv", "labels.json"):
        assert (tmp_path / "one" / name).read_text() == (tmp_path / "two" / name).read_text()

    def never(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("training.preprocess.nifti._load", never)
    before = (tmp_path / "one/train.csv").read_text()
    preprocess(tmp_path / "in", tmp_path / "one", spec)
    assert (tmp_path / "one/train.csv").read_text() == before
    with pytest.raises(AssertionError, match="read again"):  # other pixels are wanted
        preprocess(tmp_path / "in", tmp_path / "one", PreprocessSpec(size_px=32))


def test_a_second_run_sees_what_changed_in_the_source(tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "in/sub-1/a.nii.gz", head(), sidecar=SIDECAR)
    dicom_factory.write_series(dicom_factory.series(6, EchoTime=90), tmp_path / "in/dicom")
    preprocess(tmp_path / "in", tmp_path / "out", PreprocessSpec(**ONE_PART))
    write_nifti(image, head(), sidecar={**SIDECAR, "EchoTime": 0.07})
    dicom_factory.write_series(dicom_factory.series(6, EchoTime=80), tmp_path / "in/dicom")
    preprocess(tmp_path / "in", tmp_path / "out", PreprocessSpec(**ONE_PART))
    assert {row.caption.EchoTime_ms for row in read_rows(tmp_path / "out/train.csv")} == {70.0, 80.0}
    image.with_name("a.json").unlink()
    assert preprocess(tmp_path / "in", tmp_path / "out", PreprocessSpec(**ONE_PART)).broken == 1


def test_nothing_to_work_with_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="does not exist"):
        preprocess(tmp_path / "absent", tmp_path / "out", PreprocessSpec())
    write_nifti(tmp_path / "in/a.nii.gz", head())
    with pytest.raises(RefusedError, match=r"no volume can be used.*1"):
        preprocess(tmp_path / "in", tmp_path / "out", PreprocessSpec())


def test_one_patient_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write_nifti(tmp_path / "in/sub-1/a.nii.gz", head(), sidecar=SIDECAR)
    with pytest.raises(RefusedError, match=r"1 patient\(s\) cannot be split"):
        preprocess(tmp_path / "in", tmp_path / "out", PreprocessSpec())


def ixi(folder: Path, **extra: Any) -> Path:
    """Folders that are contrasts, as IXI has them: six people in three of them."""
    for person in range(6):
        for contrast in ("T1", "T2", "PD"):
            path = folder / f"IXI-{contrast}/IXI{person:03d}-Guys-{contrast}.nii.gz"
            write_nifti(path, head(seed=person), sidecar={**SIDECAR, "PatientID": f"P{person}", **extra})
    return folder


def test_folders_of_contrasts_are_no_patients(tmp_path: Path) -> None:
    summary = preprocess(ixi(tmp_path / "in"), tmp_path / "out", PreprocessSpec(size_px=48, slices=2))
    assert sum(summary.patients.values()) == 6
    groups = [{row.group for row in read_rows(tmp_path / f"out/{part}.csv")} for part in ("train", "val", "test")]
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups)) == 6
    assert not any("P3" in path.read_text() for path in (tmp_path / "out").rglob("*.[cj]s*"))


def test_nifti_and_dicom_of_one_patient_id_are_one_patient(tmp_path: Path) -> None:
    write_nifti(tmp_path / "in/a.nii.gz", head(), sidecar={**SIDECAR, "PatientID": "P1"})
    dicom_factory.write_series(dicom_factory.series(6, PatientID="P1"), tmp_path / "in/b")
    preprocess(tmp_path / "in", tmp_path / "out", PreprocessSpec(**ONE_PART))
    rows = read_rows(tmp_path / "out/train.csv")
    assert (len({row.volume for row in rows}), len({row.group for row in rows})) == (2, 1)


def test_a_patient_that_nothing_names_is_split_by_volume_or_not_at_all(tmp_path: Path) -> None:
    source = ixi(tmp_path / "in", PatientID="")
    write_nifti(source / "IXI-PD/0.nii.gz", head())  # without a sidecar: to be left out, not to be refused
    with pytest.raises(RefusedError, match=r"IXI000-Guys-PD\.nii\.gz: its sidecar has no PatientID .*split_by=volume"):
        preprocess(source, tmp_path / "out", PreprocessSpec(size_px=48, slices=2))
    assert not (tmp_path / "out/slices").exists(), "no time is spent on it"
    summary = preprocess(source, tmp_path / "out", PreprocessSpec(size_px=48, slices=2, split_by="volume"))
    assert (summary.volumes, summary.broken) == (18, 1)


def test_dicom_patients_are_digests(tmp_path: Path) -> None:
    dicom_factory.write_series(dicom_factory.series(6, PatientID="12345678", seed=1), tmp_path / "in/a")
    dicom_factory.write_series(dicom_factory.series(6, PatientID="12345678", seed=2), tmp_path / "in/b")
    dicom_factory.write_series(dicom_factory.series(6, PatientID=None, seed=3), tmp_path / "in/c")
    preprocess(tmp_path / "in", tmp_path / "out", PreprocessSpec(**ONE_PART))
    assert len({row.group for row in read_rows(tmp_path / "out/train.csv")}) == 2
    assert not any("12345678" in path.read_text() for path in (tmp_path / "out").rglob("*.[cj]s*"))


@pytest.mark.shared_data
def test_real_niftis_without_headers_are_refused_each_by_name(tmp_path: Path, shared: Path) -> None:
    with pytest.raises(RefusedError, match="no volume can be used"):
        preprocess(shared / "data" / "nifti", tmp_path, PreprocessSpec())
    assert set(broken(tmp_path).values()) == {"missing-sidecar"}
