"""The noise-free picture of a slab: which tissues lie in each slice, and what they send."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, grid_sample, interpolate

from training.simulate.people.anatomy import Anatomy
from training.simulate.physics import magnetisation as columns
from training.simulate.physics.tissues import TissueParameters

Vector = tuple[float, float, float]
# The field map and the warp change slowly: they are looked up on a grid this many times coarser than the picture.
_COARSER: Final = 6
# Range of the random offset of a look-up, in voxels of the anatomy: how soft borders are.
_SOFTNESS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class View:
    """Where the slices lie. Directions are unit vectors in RAS; rows run along `down`, columns along `right`."""

    centre_mm: Vector
    right: Vector
    down: Vector
    normal: Vector
    fov_mm: tuple[float, float]  # along down, along right
    offsets_mm: tuple[float, ...]  # of the slices along the normal
    thickness_mm: float


@dataclass(frozen=True, kw_only=True)
class Person:
    """An anatomy as one person has it: tissue values, size, and a smooth deformation."""

    anatomy: Anatomy
    tissue: TissueParameters
    stretch: Vector = (1.0, 1.0, 1.0)  # size over that of the anatomy, along x, y, z
    warp_mm: Tensor | None = None  # (3, 6, 6, 6): displacement over the box of the anatomy


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Signals on the sampling grid, float32 (n, h, w); the fields have passed no scanner yet."""

    water: Tensor  # signed
    fat: Tensor  # signed, before its phase
    body: Tensor  # share of the voxel that is not air
    field_ppm: Tensor  # shift of the resonance in the middle of the slice
    across_ppm: Tensor  # its change from one face of the slice to the other
    local_ppm: Tensor  # shift inside vessels and iron


def _axes(person: Person, view: View, shape: tuple[int, int]) -> list[tuple[float, float, Tensor, Tensor]]:
    """Along x, y, z of the anatomy: coordinate of the middle, step along the normal, and along rows and columns, in mm.

    The person's size is undone here, about the planned centre.
    """
    h, w = shape
    device = person.anatomy.codes.device
    rows = ((torch.arange(h, device=device) + 0.5) / h - 0.5) * view.fov_mm[0]
    columns = ((torch.arange(w, device=device) + 0.5) / w - 0.5) * view.fov_mm[1]
    axes: list[tuple[float, float, Tensor, Tensor]] = []
    for a, (centre, size) in enumerate(zip(person.anatomy.centre_mm, person.stretch, strict=True)):
        middle = (view.centre_mm[a] - centre) / size + centre
        axes.append((middle, view.normal[a] / size, rows * (view.down[a] / size), columns * (view.right[a] / size)))
    return axes


def _points(person: Person, view: View, shape: tuple[int, int], offsets_mm: Tensor) -> list[Tensor]:
    """Coordinates in mm of (n, h, w) points of slices at the given offsets, in the anatomy."""
    out = offsets_mm[:, None, None]
    return [
        middle + out * normal + rows[:, None] + columns for middle, normal, rows, columns in _axes(person, view, shape)
    ]


def _lookup(volumes: Tensor, anatomy: Anatomy, points: list[Tensor]) -> Tensor:
    """Values (c, n, h, w) of coarse volumes (c, x, y, z) that span the anatomy, linear in between."""
    sizes = [n * anatomy.spacing_mm for n in anatomy.codes.shape]
    scaled = [2.0 * p / s - 1.0 for p, s in zip(points, sizes, strict=True)]
    grid = torch.stack(scaled[::-1], dim=-1)[None]  # grid_sample takes the last axis first
    return grid_sample(volumes[None], grid, align_corners=False, padding_mode="border")[0]


def _smoothly(volumes: Tensor, person: Person, view: View, shape: tuple[int, int], offsets: Tensor) -> Tensor:
    """Values (c, n, h, w) of slowly varying volumes, looked up on a coarser grid and interpolated."""
    coarse = (max(shape[0] // _COARSER, 8), max(shape[1] // _COARSER, 8))
    found = _lookup(volumes, person.anatomy, _points(person, view, coarse, offsets))
    return interpolate(found, size=shape, mode="bilinear", align_corners=False)


def sample(
    person: Person, view: View, table: Tensor, shape: tuple[int, int], *, sub_slices: int, generator: torch.Generator
) -> Picture:
    """Average the signals of `table` over each slice.

    Every one of the `sub_slices` planes of a slice looks the voxels up at its own random offset below one voxel, which
    makes borders as soft as the voxels of the anatomy are large.
    """
    anatomy = person.anatomy
    device = anatomy.codes.device
    middle = torch.tensor(view.offsets_mm, device=device)
    codes = _codes(person, view, shape, sub_slices, generator)
    n, (h, w) = len(middle), shape
    mean = embedding_bag(codes.view(-1, sub_slices), table, mode="mean").view(n, h, w, -1)
    water = mean[..., columns.WATER]
    if mean.shape[-1] > columns.BY_DIRECTION:
        fibre = _smoothly(anatomy.fibre[None], person, view, shape, middle)[0]
        water = water + fibre * mean[..., columns.BY_DIRECTION]
    half = view.thickness_mm / 2.0
    low, high = (_smoothly(anatomy.field_ppm[None], person, view, shape, middle + step)[0] for step in (-half, half))
    return Picture(
        water=water,
        fat=mean[..., columns.FAT],
        body=mean[..., columns.BODY],
        field_ppm=(low + high) / 2.0,
        across_ppm=high - low,
        local_ppm=mean[..., columns.LOCAL_PPM],
    )


def _codes(person: Person, view: View, shape: tuple[int, int], sub_slices: int, generator: torch.Generator) -> Tensor:
    """Codes (n, h, w, sub_slices), int32, of points through the thickness of each slice."""
    anatomy = person.anatomy
    device = anatomy.codes.device
    middle = torch.tensor(view.offsets_mm, device=device)
    depth = ((torch.arange(sub_slices, device=device) + 0.5) / sub_slices - 0.5) * view.thickness_mm
    out = (middle[:, None] + depth)[:, None, None, :]  # (n, 1, 1, k)
    shift = None
    if person.warp_mm is not None:
        coarse = _lookup(person.warp_mm, anatomy, _points(person, view, (12, 12), middle))
        shift = interpolate(coarse, size=shape, mode="bilinear", align_corners=False)[..., None]  # (3, n, h, w, 1)
    dither = torch.rand((3, *shape, sub_slices), generator=generator, device=generator.device).sub_(0.5).mul_(_SOFTNESS)
    flat: Tensor | None = None
    for axis, (centre, normal, rows, along) in enumerate(_axes(person, view, shape)):
        size, scale = anatomy.codes.shape[axis], 1.0 / anatomy.spacing_mm
        planes = (centre + out * normal) * scale + (rows * scale)[:, None, None]  # (n, h, 1, k)
        jittered = dither[axis] + (along * scale)[:, None]  # (h, w, k)
        point = planes + jittered
        if shift is not None:
            point += shift[axis] * scale
        index = point.clamp_(0.0, size - 1.0).int()
        flat = index if flat is None else flat.mul_(size).add_(index)
    if flat is None:
        raise AssertionError("an anatomy has three axes")
    return anatomy.codes.flatten().index_select(0, flat.flatten()).int().view(*flat.shape)
