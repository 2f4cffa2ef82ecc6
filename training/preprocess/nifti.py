"""NIfTI volumes with a sidecar, turned as DICOM would show them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError

from inference.captions import caption
from inference.claims import claim
from inference.geometry import Plane, nearest_plane
from inference.labels import UNKNOWN
from training.errors import VolumeError
from training.preprocess.sidecar import header, patient_id, read_sidecar
from training.preprocess.spec import PreprocessSpec
from training.preprocess.volume import Volume, patient_group, spread

_SUFFIXES: Final = (".nii.gz", ".nii")
_PLANES: Final[tuple[Plane, ...]] = ("sagittal", "coronal", "axial")  # whose slices lie along axis 0, 1, 2 of L, P, S
_ANISOTROPY: Final = 1.1  # a voxel this much longer along one axis was acquired in slices along it
_Array = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class NiftiTask:
    """One file."""

    path: Path
    label: str  # the path below the source, for messages

    @property
    def group(self) -> str | None:
        """Who it is: the `sub-` entity of BIDS, else a digest of the sidecar's PatientID; None where neither says it.

        Folders do not say it: they may be contrasts. VolumeError where the sidecar cannot be read.
        """
        for part in Path(self.label).parts:
            if part.startswith("sub-"):
                return part.split("_")[0]
        patient = patient_id(read_sidecar(self._sidecar))
        return None if patient is None else patient_group(patient)

    @property
    def _sidecar(self) -> Path:
        return _without_suffix(self.path).with_suffix(".json")

    def state(self) -> str:
        """Size and time of the file and of its sidecar."""
        stats = [path.stat() for path in (self.path, self._sidecar) if path.exists()]
        return " ".join(f"{stat.st_size}@{stat.st_mtime_ns}" for stat in stats)

    def read(self, spec: PreprocessSpec) -> Volume:
        """The volume; VolumeError says why it cannot be used."""
        sidecar = read_sidecar(self._sidecar)
        image = _load(self.path)
        claimed = header(sidecar, identity=self.label)
        claims = claim(claimed)
        slices = _published_slices(image) if spec.plane == "spacing" else _slices(image, sidecar, spec)
        return Volume(
            slices=slices.images,
            numbers=slices.numbers,
            pixel_spacing_mm=slices.pixel_spacing_mm,
            caption=caption(
                claimed,
                plane=slices.plane,
                contrast=None if claims.label == UNKNOWN else claims.label,
                post_contrast=claims.post_contrast,
                fat_suppressed=claims.fat_suppressed,
            ),
        )


def find_nifti(source: Path) -> Iterator[NiftiTask]:
    """Every NIfTI file below `source`, in sorted order; links to folders are not followed."""
    for path in sorted(source.rglob("*")):
        if path.name.endswith(_SUFFIXES) and not path.name.startswith(".") and path.is_file():
            label = path.relative_to(source).as_posix()
            yield NiftiTask(path=path, label=label)


def _without_suffix(path: Path) -> Path:
    suffix = next(suffix for suffix in _SUFFIXES if path.name.endswith(suffix))
    return path.with_name(path.name.removesuffix(suffix))


@dataclass(frozen=True, kw_only=True)
class _Image:
    values: _Array  # (i, j, k)
    affine: npt.NDArray[np.float64]  # to R, A, S in mm

    @property
    def zooms_mm(self) -> npt.NDArray[np.float64]:
        return np.linalg.norm(self.affine[:3, :3], axis=0)


@dataclass(frozen=True, kw_only=True)
class _Slices:
    images: list[_Array]
    numbers: list[int]
    pixel_spacing_mm: tuple[float, float] | None
    plane: Plane


def _load(path: Path) -> _Image:
    try:
        image: Any = nib.load(path)  # pyright: ignore[reportPrivateImportUsage]
        values = np.asarray(image.dataobj, np.float32)
        affine = np.asarray(image.affine, np.float64)
    # what nibabel and the gzip below it raise for files that are broken or no NIfTI
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, TypeError) as error:
        raise VolumeError("unreadable", f"cannot be read as NIfTI: {error}") from error
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        shape = " x ".join(map(str, values.shape))
        raise VolumeError(
            "not-3d", f"is {shape}; give it volume by volume, each with the sidecar of its own acquisition"
        )
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise VolumeError("broken-affine", "the affine is singular or not finite")
    return _Image(values=values, affine=affine)


def _slices(image: _Image, sidecar: dict[str, Any], spec: PreprocessSpec) -> _Slices:
    """Slices along the axis of acquisition, turned so that rows and columns run as in DICOM."""
    axis = _slice_axis(image, sidecar)
    plane, _ = nearest_plane(_unit(image.affine[:3, axis]))
    wanted = spread(image.values.shape[axis], spec.slices)
    chosen = _Image(values=np.take(image.values, wanted, axis=axis), affine=image.affine)
    turned, zooms = _to_lps(chosen)
    # in L, P, S: axial slices have columns to L and rows to P, the others rows from S to I and columns to P or L
    across = _PLANES.index(plane)
    stack = np.moveaxis(turned, across, 0)
    images = [one.T if plane == "axial" else one[:, ::-1].T for one in stack]
    numbers = wanted if _keeps_order(image, axis, across) else wanted[::-1]
    column, row = (zoom for place, zoom in enumerate(zooms) if place != across)
    return _Slices(images=images, numbers=numbers, pixel_spacing_mm=(float(row), float(column)), plane=plane)


def _slice_axis(image: _Image, sidecar: dict[str, Any]) -> int:
    """The array axis along which slices were acquired.

    The one with much longer voxels; of an isotropic volume the one nearest to the slice normal that dcm2niix noted
    (ImageOrientationPatientDICOM), else the last, which is where dcm2niix puts the slices.
    """
    zooms = image.zooms_mm
    longest = int(zooms.argmax())
    if zooms[longest] > _ANISOTROPY * np.delete(zooms, longest).max():
        return longest
    orientation = sidecar.get("ImageOrientationPatientDICOM")
    if isinstance(orientation, list) and len(orientation) == 6:
        row, column = np.asarray(orientation, np.float64).reshape(2, 3)
        normal_ras = np.cross(row, column) * (-1, -1, 1)
        return int(np.abs(normal_ras @ (image.affine[:3, :3] / zooms)).argmax())
    return 2


def _to_lps(image: _Image) -> tuple[_Array, list[float]]:
    """The array with its axes along L, P and S, and the voxel size along each."""
    transform = ornt_transform(io_orientation(image.affine), axcodes2ornt(("L", "P", "S")))
    turned = nib.orientations.apply_orientation(image.values, transform)
    zooms = [0.0, 0.0, 0.0]
    for source, (target, _) in enumerate(transform):
        zooms[int(target)] = float(image.zooms_mm[source])
    return np.asarray(turned, np.float32), zooms


def _keeps_order(image: _Image, axis: int, across: int) -> bool:
    """True if slice numbers rise along L, P or S."""
    direction = image.affine[across, axis] * (1 if across == 2 else -1)
    return bool(direction > 0)


def _published_slices(image: _Image) -> _Slices:
    """As published: array axes as they lie, the slice axis by the first largest voxel, all slices."""
    axis = int(np.argmax(np.round(image.zooms_mm, 6)))
    order = {0: (1, 2, 0), 1: (0, 2, 1), 2: (0, 1, 2)}[axis]
    stack = np.transpose(image.values, order)
    images = [np.ascontiguousarray(stack[..., number]) for number in range(stack.shape[-1])]
    return _Slices(images=images, numbers=list(range(len(images))), pixel_spacing_mm=None, plane=_PLANES[axis])


def _unit(vector: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(part) for part in vector / np.linalg.norm(vector))
    return x, y, z
