"""Lesions: blobs of other tissue, their surface roughened by noise."""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.anatomy import is_any
from training.simulate.people.fields import noise_volume
from training.simulate.physics.tissues import Tissue

_T = Tissue
_PARENCHYMA: Final = (_T.WHITE_MATTER, _T.GREY_MATTER, _T.DEEP_GREY)


def blob(
    tissue: Tensor, centre: np.ndarray, radius_mm: float, spacing_mm: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A view of the box round `centre` (voxels) and the distance in it, in units of the radius, roughened by noise."""
    reach = round(2.4 * radius_mm / spacing_mm) + 2
    box = tuple(
        slice(max(int(c) - reach, 0), min(int(c) + reach + 1, n)) for c, n in zip(centre, tissue.shape, strict=True)
    )
    inside = tissue[box]
    axes = [torch.arange(s.start, s.stop) - float(c) for s, c in zip(box, centre, strict=True)]
    stretch = rng.uniform(0.7, 1.3, 3)
    grid = torch.meshgrid(*(a * float(f) for a, f in zip(axes, stretch, strict=True)), indexing="ij")
    distance = sum((g.square() for g in grid), torch.zeros(())).sqrt() * (spacing_mm / radius_mm)
    return inside, distance + 0.22 * noise_volume(tuple(inside.shape), rng, exponent=1.8)


def somewhere(tissue: Tensor, wanted: tuple[Tissue, ...], rng: np.random.Generator) -> np.ndarray | None:
    """A random voxel of the wanted tissues; None where there is none."""
    places = torch.nonzero(is_any(tissue, wanted).flatten())[:, 0]
    if len(places) == 0:
        return None
    return np.array(np.unravel_index(int(places[int(rng.integers(len(places)))]), tuple(tissue.shape)), dtype=float)


def add_brain_lesion(tissue: Tensor, spacing_mm: float, rng: np.random.Generator) -> None:
    """One lesion of a random kind, drawn into `tissue`."""
    kinds: tuple[Callable[[Tensor, float, np.random.Generator], None], ...] = (
        _plaques,
        _plaques,
        _tumour,
        _tumour,
        _infarct,
        _bleeding,
        _meningioma,
        _cavity,
    )
    kinds[int(rng.integers(len(kinds)))](tissue, spacing_mm, rng)


def _place(
    tissue: Tensor, radius_mm: float, spacing_mm: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor] | None:
    centre = somewhere(tissue, _PARENCHYMA, rng)
    if centre is None:
        return None
    inside, distance = blob(tissue, centre, radius_mm, spacing_mm, rng)
    return inside, distance, is_any(inside, (*_PARENCHYMA, _T.PALLIDUM))


def _plaques(tissue: Tensor, spacing_mm: float, rng: np.random.Generator) -> None:
    """Demyelination or small vessel disease: small spots in white matter, a few enhancing."""
    for _ in range(int(rng.integers(3, 25))):
        centre = somewhere(tissue, (_T.WHITE_MATTER,), rng)
        if centre is None:
            return
        inside, distance = blob(tissue, centre, float(rng.uniform(1.5, 6.0)), spacing_mm, rng)
        spot = (distance < 1) & (inside == int(_T.WHITE_MATTER))
        inside[spot] = int(_T.ENHANCING_TUMOUR if rng.random() < 0.1 else _T.OEDEMA)


def _tumour(tissue: Tensor, spacing_mm: float, rng: np.random.Generator) -> None:
    """Glioma or metastasis: necrosis, enhancing rim, oedema along white matter."""
    placed = _place(tissue, float(rng.uniform(5, 22)), spacing_mm, rng)
    if placed is None:
        return
    inside, distance, brain = placed
    inside[brain & (distance < rng.uniform(1.2, 2.2)) & (inside == int(_T.WHITE_MATTER))] = int(_T.OEDEMA)
    inside[brain & (distance < 1)] = int(_T.ENHANCING_TUMOUR if rng.random() < 0.7 else _T.TUMOUR)
    if rng.random() < 0.6:
        inside[brain & (distance < rng.uniform(0.4, 0.8))] = int(_T.CYST if rng.random() < 0.5 else _T.TUMOUR)


def _infarct(tissue: Tensor, spacing_mm: float, rng: np.random.Generator) -> None:
    placed = _place(tissue, float(rng.uniform(5, 28)), spacing_mm, rng)
    if placed is not None:
        inside, distance, brain = placed
        inside[brain & (distance < 1)] = int(_T.INFARCT if rng.random() < 0.7 else _T.OEDEMA)


def _bleeding(tissue: Tensor, spacing_mm: float, rng: np.random.Generator) -> None:
    placed = _place(tissue, float(rng.uniform(2, 15)), spacing_mm, rng)
    if placed is not None:
        inside, distance, brain = placed
        inside[brain & (distance < 1.5) & (inside == int(_T.WHITE_MATTER))] = int(_T.OEDEMA)
        inside[brain & (distance < 1)] = int(_T.BLOOD_PRODUCT)


def _meningioma(tissue: Tensor, spacing_mm: float, rng: np.random.Generator) -> None:
    centre = somewhere(tissue, (_T.MENINGES,), rng)
    if centre is not None:
        inside, distance = blob(tissue, centre, float(rng.uniform(5, 20)), spacing_mm, rng)
        intracranial = is_any(inside, (*_PARENCHYMA, _T.CSF, _T.MENINGES))
        inside[intracranial & (distance < 1)] = int(_T.ENHANCING_TUMOUR)


def _cavity(tissue: Tensor, spacing_mm: float, rng: np.random.Generator) -> None:
    """A resection cavity or old infarct: fluid with a gliotic rim."""
    placed = _place(tissue, float(rng.uniform(5, 25)), spacing_mm, rng)
    if placed is not None:
        inside, distance, brain = placed
        inside[brain & (distance < 1.25)] = int(_T.OEDEMA)
        inside[brain & (distance < 1)] = int(_T.CSF)


def add_body_lesion(tissue: Tensor, spacing_mm: float, rng: np.random.Generator) -> None:
    """A cyst, a solid lesion or marrow oedema in whatever organ is there."""
    organs = (
        _T.LIVER,
        _T.SPLEEN,
        _T.RENAL_CORTEX,
        _T.FIBROGLANDULAR,
        _T.YELLOW_MARROW,
        _T.RED_MARROW,
        _T.TRANSITION_ZONE,
        _T.PERIPHERAL_ZONE,
        _T.MUSCLE,
    )
    centre = somewhere(tissue, organs, rng)
    if centre is None:
        return
    inside, distance = blob(tissue, centre, float(rng.uniform(3, 18)), spacing_mm, rng)
    host = int(tissue[tuple(int(c) for c in centre)])
    kind = rng.choice(
        [int(_T.CYST), int(_T.TUMOUR), int(_T.ENHANCING_TUMOUR), int(_T.OEDEMA), int(_T.BLOOD_PRODUCT)],
        p=[0.25, 0.2, 0.25, 0.25, 0.05],
    )
    inside[(inside == host) & (distance < 1)] = int(kind)
