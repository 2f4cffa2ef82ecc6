"""Heads from label maps: FreeSurfer brain labels and the classes around them, turned into tissues.

A head is a uint8 volume of `Tissue` numbers in RAS order with its spacing, beside it the field that its own
susceptibility makes. Everything later samples slices of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d, max_pool3d

from training.simulate.fields import field_shift_ppm, noise_volume, shimmed
from training.simulate.tissues import FACTS, Tissue

_T = Tissue

# FreeSurferColorLUT numbers of the brain; the classes from 500 on are described where the label maps are published.
_BRAIN: Final[dict[Tissue, tuple[int, ...]]] = {
    _T.WHITE_MATTER: (2, 7, 16, 28, 41, 46, 60, 77, 78, 79, 85, 251, 252, 253, 254, 255),
    _T.GREY_MATTER: (3, 8, 17, 18, 42, 47, 53, 54),
    _T.DEEP_GREY: (9, 10, 11, 12, 26, 48, 49, 50, 51, 58),
    _T.PALLIDUM: (13, 52),
    _T.CSF: (4, 5, 14, 15, 24, 30, 43, 44, 62, 72),
    _T.OEDEMA: (25, 57),
    _T.MENINGES: (31, 63, 136, 137, 163, 164),  # choroid plexus; in these maps the last four lie in the ventricles
}
_AROUND: Final[dict[Tissue, tuple[int, ...]]] = {
    _T.ARTERY: (502,),
    _T.VITREOUS: (506,),
    _T.MUSCLE: (507, 508),
    _T.MUCOSA: (509,),
    _T.SKIN: (511,),
    _T.NERVE: (512, 530),
    _T.VEIN: (514,),
    _T.CORTICAL_BONE: (515,),
    _T.YELLOW_MARROW: (516,),
}
_SOFT_TISSUE: Final = 507
_SKIN: Final = 511
_EYE: Final = 506


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """A person to scan: tissue numbers (x to the right, y to the front, z to the head), 1 voxel = `spacing_mm`."""

    name: str
    region: str
    tissue: Tensor  # uint8 (x, y, z)
    spacing_mm: float
    field_ppm: Tensor  # float32 (x', y', z'): shift of the resonance, on a grid of about 4 mm
    texture: Tensor  # float32 (3, m, m, m): periodic noise of unit variance on the grid of `tissue`
    centre_mm: tuple[float, float, float]  # where a planner would put the middle of the stack
    extent_mm: tuple[float, float, float]  # of what is to be covered

    def to(self, device: torch.device) -> "Anatomy":
        """The same person on another device."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("tissue", "field_ppm", "texture"):
            fields[name] = fields[name].to(device)
        return Anatomy(**fields)


def _dilated(mask: Tensor, radius: int) -> Tensor:
    """A boolean volume grown by `radius` voxels (a cube); three passes, one an axis."""
    grown = mask[None].float()
    for axis in range(3):
        size, pad = [1, 1, 1], [0, 0, 0]
        size[axis], pad[axis] = 2 * radius + 1, radius
        grown = max_pool3d(grown, tuple(size), stride=1, padding=tuple(pad))
    return grown[0] > 0.5


def head_tissues(labels: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Tissue numbers of a 1 mm label map. What the labels do not tell apart (fat and muscle) is drawn from `rng`."""
    table = np.zeros(int(labels.max()) + 1, dtype=np.uint8)
    for tissue, numbers in (_BRAIN | _AROUND).items():
        for number in numbers:
            if number < table.size:
                table[number] = int(tissue)
    volume = torch.from_numpy(table[labels])
    known = torch.from_numpy(labels)
    soft = known == _SOFT_TISSUE
    fat = soft & _dilated(known == _SKIN, int(rng.integers(3, 8)))
    fat |= soft & _dilated(known == _EYE, int(rng.integers(7, 12)))
    sheets = noise_volume(tuple(volume.shape), rng, exponent=2.2)
    fat |= soft & (sheets.abs() < rng.uniform(0.1, 0.3))
    volume[fat] = int(_T.FAT)
    deep_skin = (known == _SKIN) & ~_dilated(known == 0, int(rng.integers(1, 3)))
    volume[deep_skin] = int(_T.FAT)
    _add_dura(volume)
    if rng.random() < 0.5:  # young skulls and vertebrae hold red marrow
        volume[volume == int(_T.YELLOW_MARROW)] = int(_T.RED_MARROW)
    return volume


def _add_dura(volume: Tensor) -> None:
    """One voxel of meninges where fluid touches bone."""
    fluid = volume == int(_T.CSF)
    volume[fluid & _dilated(volume == int(_T.CORTICAL_BONE), 1)] = int(_T.MENINGES)


def brain_mask(anatomy: Anatomy) -> Tensor:
    """What a skull-stripping tool leaves: brain, its fluid and vessels, closed by two voxels."""
    brain = torch.zeros_like(anatomy.tissue, dtype=torch.bool)
    for tissue in (_T.GREY_MATTER, _T.WHITE_MATTER, _T.DEEP_GREY, _T.PALLIDUM, _T.OEDEMA, _T.TUMOUR, _T.ENHANCING_TUMOUR,
                   _T.INFARCT):  # fmt: skip
        brain |= anatomy.tissue == int(tissue)
    return ~_dilated(~_dilated(brain, 4), 3)


def assemble(name: str, region: str, tissue: Tensor, spacing_mm: float, rng: np.random.Generator) -> Anatomy:
    """An anatomy from its tissues: field shift, texture and the box to be covered."""
    susceptibility = torch.tensor([FACTS[t].susceptibility_ppm for t in Tissue], dtype=torch.float32)
    factor = max(1, round(4.0 / spacing_mm))
    coarse = avg_pool3d(susceptibility[tissue.int()][None, None], factor, ceil_mode=True)[0, 0]
    inside = tissue > 0
    coarse_inside = _coarse(inside, factor) > 0.8
    spans = [torch.nonzero(inside.flatten(1).any(1) if axis == 0 else inside.transpose(0, axis).flatten(1).any(1))[:, 0]
             for axis in range(3)]  # fmt: skip
    low, high = [float(s.min()) for s in spans], [float(s.max()) + 1 for s in spans]
    return Anatomy(
        name=name,
        region=region,
        tissue=tissue.contiguous(),
        spacing_mm=spacing_mm,
        field_ppm=shimmed(field_shift_ppm(coarse), coarse_inside),
        texture=torch.stack([noise_volume((64, 64, 64), rng, exponent=e) for e in (0.9, 1.4, 2.0)]),
        centre_mm=tuple((a + b) / 2 * spacing_mm for a, b in zip(low, high, strict=True)),
        extent_mm=tuple((b - a) * spacing_mm for a, b in zip(low, high, strict=True)),
    )


def _coarse(mask: Tensor, factor: int) -> Tensor:
    return avg_pool3d(mask[None, None].float(), factor, ceil_mode=True)[0, 0]


def load_head(path: Path, seed: int) -> Anatomy:
    """A head from a NIfTI label map; `seed` fixes what is drawn."""
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.load(path))
    labels = np.asarray(image.dataobj).astype(np.int32)
    body = np.nonzero(labels)
    box = tuple(slice(max(int(axis.min()) - 4, 0), int(axis.max()) + 5) for axis in body)
    rng = np.random.default_rng(seed)
    tissue = head_tissues(labels[box], rng)
    spacing_mm = float(np.mean(image.header.get_zooms()[:3]))
    head = assemble(path.name.split(".")[0], "head", tissue, spacing_mm, rng)
    return _aimed_at_brain(head)


def _aimed_at_brain(head: Anatomy) -> Anatomy:
    """Stacks of a head are planned and shimmed on the brain, not on the neck."""
    mask = brain_mask(head)
    factor = max(1, round(4.0 / head.spacing_mm))
    brain = torch.nonzero(mask).float()
    low, high = brain.amin(0), brain.amax(0) + 1
    fields = {name: getattr(head, name) for name in head.__dataclass_fields__}
    fields["centre_mm"] = tuple(((low + high) / 2 * head.spacing_mm).tolist())
    fields["extent_mm"] = tuple(((high - low) * head.spacing_mm).tolist())
    fields["field_ppm"] = shimmed(head.field_ppm, _coarse(mask, factor) > 0.8)
    return Anatomy(**fields)


def label_files(folder: Path, leave_out: Sequence[str] = ()) -> list[Path]:
    """The label maps of a folder in order of their names, without those whose stem is in `leave_out`."""
    files = sorted(p for p in folder.iterdir() if p.name.endswith((".nii", ".nii.gz")))
    return [p for p in files if p.name.split(".")[0] not in leave_out]
