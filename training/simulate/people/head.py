"""Heads: label maps (FreeSurfer's brain and classes around it), nilearn's MNI152 maps, or a brain drawn from noise."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.anatomy import Anatomy, Target, assemble, brain_mask, dilated
from training.simulate.people.fields import noise_volume, smooth_noise
from training.simulate.people.lesions import add_brain_lesion
from training.simulate.physics.tissues import Tissue

_T = Tissue

# FreeSurferColorLUT numbers of the brain; the classes from 500 on are those of the published whole-head maps.
_LABELS: Final[dict[Tissue, tuple[int, ...]]] = {
    _T.WHITE_MATTER: (2, 7, 16, 28, 41, 46, 60, 77, 78, 79, 85, 251, 252, 253, 254, 255),
    _T.GREY_MATTER: (3, 8, 17, 18, 42, 47, 53, 54),
    _T.DEEP_GREY: (9, 10, 11, 12, 26, 48, 49, 50, 51, 58),
    _T.PALLIDUM: (13, 52),
    _T.CSF: (4, 5, 14, 15, 24, 30, 43, 44, 62, 72),
    _T.OEDEMA: (25, 57),
    _T.MENINGES: (31, 63, 136, 137, 163, 164),  # choroid plexus; in these maps the last four lie in the ventricles
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
_SOFT_TISSUE, _SKIN, _EYE = 507, 511, 506
_SKULL_MM: Final = 40.0  # skull, scalp and some air that a field of view takes in beyond the brain


@dataclass(frozen=True, kw_only=True)
class HeadLabels:
    """A label map as it was published, cropped to the head, in RAS order."""

    name: str
    labels: np.ndarray  # int16 (x, y, z)
    spacing_mm: float


def label_files(folder: Path) -> list[Path]:
    """The label maps of a folder in order of their names; ValueError where there is none."""
    files = sorted(p for p in folder.iterdir() if p.name.endswith((".nii", ".nii.gz")))
    if not files:
        raise ValueError(f"{folder} has no label maps (*.nii, *.nii.gz)")
    return files


def read_labels(path: Path) -> HeadLabels:
    """One label map of isotropic voxels; ValueError names what does not fit."""
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.load(path))
    spacing = np.asarray(image.header.get_zooms()[:3], dtype=float)
    if np.ptp(spacing) > 0.01:
        raise ValueError(f"{path} has voxels of {spacing.tolist()} mm; label maps must have isotropic voxels")
    labels = np.asarray(image.dataobj).astype(np.int16)
    mask = torch.from_numpy(labels > 0)
    if not bool(mask.any()):
        raise ValueError(f"{path} holds no label above 0")
    spans = [np.flatnonzero(mask.any(dim=a).any(dim=b).numpy()) for a, b in ((2, 1), (2, 0), (1, 0))]
    box = tuple(slice(max(int(s[0]) - 4, 0), int(s[-1]) + 5) for s in spans)
    return HeadLabels(name=path.name.split(".")[0], labels=labels[box], spacing_mm=float(spacing.mean()))


def head_from_labels(source: HeadLabels, rng: np.random.Generator) -> Anatomy:
    """One variant of a head: what the labels do not tell apart, vessels and lesions are drawn from `rng`."""
    tissue = _tissues(source.labels, rng)
    return _finished(source.name, tissue, source.spacing_mm, rng)


def _finished(name: str, tissue: Tensor, spacing_mm: float, rng: np.random.Generator) -> Anatomy:
    brain = brain_mask(tissue)
    _add_vessels(tissue, brain, rng)
    for _ in range(int(rng.choice([0, 0, 1, 1, 2]))):
        add_brain_lesion(tissue, spacing_mm, rng)
    target = Target(mask=brain, margin_mm=_SKULL_MM)
    return assemble(name, "head", tissue, spacing_mm=spacing_mm, target=target, rng=rng)


def _tissues(labels: np.ndarray, rng: np.random.Generator) -> Tensor:
    table = torch.zeros(int(labels.max()) + 1, dtype=torch.uint8)
    for tissue, numbers in _LABELS.items():
        table[[n for n in numbers if n < len(table)]] = int(tissue)
    known = torch.from_numpy(labels)
    volume = table[known.int()]
    _split_soft_tissue(volume, known, rng)
    fluid = volume == int(_T.CSF)
    volume[fluid & dilated(volume == int(_T.CORTICAL_BONE), 1)] = int(_T.MENINGES)
    if rng.random() < 0.4:  # young skulls and vertebrae hold red marrow
        volume[volume == int(_T.YELLOW_MARROW)] = int(_T.RED_MARROW)
    return volume


def _split_soft_tissue(volume: Tensor, known: Tensor, rng: np.random.Generator) -> None:
    """Fat lies under the skin, round the eyes and in sheets between muscles; the outermost skin alone is skin."""
    soft = known == _SOFT_TISSUE
    nx, ny, nz = volume.shape
    sheets = smooth_noise((nx, ny, nz), rng, exponent=2.5)
    fat = soft & dilated(known == _SKIN, int(rng.integers(2, 6)))
    fat |= soft & dilated(known == _EYE, int(rng.integers(7, 12)))
    fat |= soft & (sheets.abs() < rng.uniform(0.05, 0.25))
    volume[fat] = int(_T.FAT)
    deep_skin = (known == _SKIN) & ~dilated(known == 0, int(rng.integers(1, 3)))
    volume[deep_skin] = int(_T.FAT)
    glands = soft & ~fat & (sheets > rng.uniform(1.8, 2.4))
    volume[glands] = int(_T.GLAND)


def _add_vessels(tissue: Tensor, brain: Tensor, rng: np.random.Generator) -> None:
    """Curves where two noise volumes are both near zero, thin in the brain, thicker in the fluid round it."""
    nx, ny, nz = tissue.shape
    first, second = (smooth_noise((nx, ny, nz), rng, exponent=2.0) for _ in range(2))
    distance = first.square() + second.square()
    fluid = (tissue == int(_T.CSF)) & brain
    radius = float(rng.uniform(0.01, 0.035))
    tissue[brain & (distance < 0.35 * radius**1.5)] = int(_T.VEIN)
    tissue[fluid & (distance < radius)] = int(_T.VEIN)
    tissue[fluid & (distance < radius) & (first > 0)] = int(_T.ARTERY)


def mni152_head(rng: np.random.Generator) -> Anatomy:
    """A head round nilearn's MNI152 tissue maps, where no label maps are given."""
    from nilearn import datasets  # seconds to import, and needed by nobody who has label maps

    grey, white, brain = (
        np.asarray(load(resolution=1).dataobj)
        for load in (
            datasets.load_mni152_gm_template,
            datasets.load_mni152_wm_template,
            datasets.load_mni152_brain_mask,
        )
    )
    pad = 24
    grey, white, brain = (torch.from_numpy(np.pad(a.astype(np.float32), pad)) for a in (grey, white, brain))
    tissue = torch.full(grey.shape, int(_T.AIR), dtype=torch.uint8)
    inside = brain > 0.5
    tissue[inside] = int(_T.CSF)
    tissue[inside & (grey > white) & (grey > 0.4)] = int(_T.GREY_MATTER)
    tissue[inside & (white >= grey) & (white > 0.4)] = int(_T.WHITE_MATTER)
    _add_shells(tissue, inside, rng)
    return _finished("mni152", tissue, 1.0, rng)


def drawn_head(rng: np.random.Generator, *, spacing_mm: float = 1.5) -> Anatomy:
    """A head that needs no data: an ellipsoid whose cortex is folded by noise. Good for tests, not for a model."""
    size = np.array([150.0, 185.0, 150.0]) * rng.uniform(0.93, 1.05, 3)
    shape = tuple(int(s) for s in np.ceil((size + 64.0) / spacing_mm))
    axes = [(torch.arange(n) - n / 2 + 0.5) * spacing_mm for n in shape]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    radius = ((2 * x / size[0]) ** 2 + (2 * y / size[1]) ** 2 + (2 * z / size[2]) ** 2).sqrt()
    folds = noise_volume(shape, rng, exponent=1.9)
    middle = (x.abs() - 2.0).clamp(-6.0, 6.0) / 6.0
    depth = (1.0 - radius) * size.min() / 2.0
    tissue = torch.full(shape, int(_T.AIR), dtype=torch.uint8)
    brain = depth > 0
    tissue[brain] = int(_T.CSF)
    cortex = depth - 3.0 - 3.5 * folds.abs() * (depth < 24.0)
    tissue[brain & (cortex > 0) & (middle > -0.2)] = int(_T.GREY_MATTER)
    tissue[brain & (cortex > 3.2) & (middle > 0.1)] = int(_T.WHITE_MATTER)
    for side in (-1.0, 1.0):
        deep = ((x - side * 24.0) / 15.0) ** 2 + ((y + 4.0) / 24.0) ** 2 + (z / 16.0) ** 2
        tissue[deep < 1] = int(_T.DEEP_GREY)
        tissue[((x - side * 20.0) / 5.0) ** 2 + ((y - 2.0) / 10.0) ** 2 + (z / 8.0) ** 2 < 1] = int(_T.PALLIDUM)
        horn = ((x - side * 11.0) / 7.0) ** 2 + (y / 34.0) ** 2 + ((z - 18.0) / 9.0) ** 2
        tissue[horn < 1 + 0.2 * folds] = int(_T.CSF)
    _add_shells(tissue, brain, rng)
    return _finished("drawn", tissue, spacing_mm, rng)


def _add_shells(tissue: Tensor, brain: Tensor, rng: np.random.Generator) -> None:
    """Dura, skull with its marrow, fat and skin round a brain."""
    layers = (
        (1, _T.MENINGES),
        (1, _T.CORTICAL_BONE),
        (2, _T.YELLOW_MARROW),
        (1, _T.CORTICAL_BONE),
        (int(rng.integers(2, 5)), _T.FAT),
        (1, _T.SKIN),
    )
    inner = brain
    for thickness, layer in layers:
        outer = dilated(inner, thickness)
        tissue[outer & ~inner] = int(layer)
        inner = outer
