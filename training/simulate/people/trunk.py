"""Trunk and neck of random geometry: spine, neck, abdomen, breast."""

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.canvas import Canvas
from training.simulate.physics.tissues import Tissue

_T = Tissue


def _spine(c: Canvas, *, front: Tensor | float, body: tuple[float, float, float], disc_mm: float, cord: bool) -> None:
    """Vertebrae and discs along z behind `front` (y of the vertebral centre), canal, arches and spinous processes."""
    wide, deep, high = body
    pitch = high + disc_mm
    start = c.between(0, pitch)
    place = torch.remainder(c.z + start, pitch) - pitch / 2  # within one level; a disc at both ends
    level = torch.floor((c.z + start) / pitch)
    across = c.column(0.0, front, (wide / 2, deep / 2), 3.0)
    block = torch.maximum((across - 1.0) * deep / 2, place.abs() - high / 2)
    canal_y = front - deep / 2 - 9.0
    canal = c.column(0.0, canal_y, (c.between(9, 12), c.between(7, 9)))
    behind = canal_y - 14.0
    arch = (c.column(0.0, canal_y, (18.0, 15.0)) < 1) & (place.abs() < high * 0.35)
    spinous = ((c.x.abs() < 4.5) & (c.y < canal_y - 7) & (c.y > behind - c.between(14, 26))) & (
        place.abs() < high * 0.32
    )
    facets = (c.column(14.0, canal_y - 6, (9, 8)) < 1) | (c.column(-14.0, canal_y - 6, (9, 8)) < 1)
    c.paint((c.x.abs() < 5) & (c.y < canal_y - 6) & (c.y > behind - 22), _T.FAT)
    c.paint((c.x.abs() < 1.6) & (c.y < canal_y - 6) & (c.y > behind - 22), _T.LIGAMENT)
    marrow_red = c.between(0.4, 0.9)
    for bone in (arch | spinous, facets & (place.abs() < high * 0.4)):
        c.paint(bone, _T.CORTICAL_BONE)
        c.paint(bone & (c.noise("grain") > -0.4), _T.RED_MARROW)
    disc = (across < 1.0) & (place.abs() >= high / 2)
    c.paint(disc, _T.ANNULUS)
    worn = torch.sin(level * c.between(1.0, 9.0)) > c.between(-0.8, 0.9)  # some levels have dried out
    c.paint((across < 0.68) & disc & ((pitch / 2 - place.abs()) < disc_mm * 0.36) & worn, _T.NUCLEUS_PULPOSUS)
    c.paint((across > 0.97) & (across < 1.08), _T.LIGAMENT)
    c.bone(block, cortex_mm=1.3, red_share=marrow_red)
    _canal(c, canal, canal_y, cord=cord)


def _canal(c: Canvas, canal: Tensor, canal_y: Tensor | float, *, cord: bool) -> None:
    c.paint(canal < 1.25, _T.FAT)
    c.paint(canal < 1.08, _T.MENINGES)
    c.paint(canal < 1.0, _T.CSF)
    if cord:
        c.paint(c.column(0.0, canal_y, (6.5, 4.5)) < 1, _T.NERVE)
        return
    for _ in range(10):  # roots of the cauda equina
        x, y = c.between(-6, 6), c.between(-6, 1)
        c.paint(c.column(x, canal_y + y, (1.1, 1.1)) < 1, _T.NERVE)


def lumbar_spine(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A lumbar spine with its muscles behind and vessels, bowel and fat in front."""
    c = Canvas((160.0, 190.0, 270.0), 1.4 * coarser, rng, bend_mm=3.0)
    curve = c.between(4, 14) * torch.sin(c.z / c.between(55, 90) + c.between(-0.6, 0.6))
    c.envelope(-(c.y + 88.0) - 0.004 * c.x.square(), fat_mm=c.between(8, 35))
    deep = c.y > -88 + c.between(12, 32)
    muscle = deep & (c.y < curve - 5)
    c.muscles(muscle, fat_share=c.between(0.15, 0.5))
    c.paint(deep & (c.y >= curve - 5), _T.FAT)
    for side in (-1, 1):  # psoas
        c.muscles(c.column(side * 42.0, curve + 2, (17, 22)) < 1, fat_share=0.08)
    loops = torch.where(c.y > curve + 48, c.noise(), -1.0)
    c.paint(loops > 0.1, _T.BOWEL_WALL)
    c.paint(loops > 0.5, _T.BOWEL_CONTENT)
    for x, tissue, radius in ((8.0, _T.ARTERY, 9.0), (-12.0, _T.VEIN, 10.0)):
        c.paint((c.column(x, curve + 30, (radius, radius * 0.9)) < 1), tissue)
    _spine(
        c,
        front=curve,
        body=(c.between(42, 52), c.between(30, 37), c.between(23, 29)),
        disc_mm=c.between(6, 12),
        cord=c.chance(0.15),
    )
    return c


def neck(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A neck: airway in front, spine with cord in the middle, muscles and vessels round them."""
    c = Canvas((170.0, 180.0, 200.0), 1.3 * coarser, rng, bend_mm=3.0)
    curve = -10 + c.between(2, 9) * torch.sin(c.z / c.between(45, 70) + c.between(-0.6, 0.6))
    width, depth = c.between(52, 66), c.between(60, 72)
    inside = c.envelope((c.column(0.0, -8.0, (width, depth)) - 1.0) * width, fat_mm=c.between(3, 16))
    c.muscles(inside, fat_share=c.between(0.2, 0.5))
    c.paint(c.column(0.0, 34.0, (13, 11)) < 1, _T.MUCOSA)
    c.paint(c.column(0.0, 34.0, (9, 8)) < 1, _T.AIR)
    c.paint(c.column(0.0, 17.0, (9, 5)) < 1, _T.BOWEL_WALL)
    for side in (-1, 1):
        c.paint(c.ellipsoid((side * 22, 36, -25), (11, 12, 26)) < 1, _T.GLAND)
        c.paint(c.column(side * 27.0, 14.0, (3.6, 3.6)) < 1, _T.ARTERY)
        c.paint(c.column(side * 33.0, 10.0, (c.between(3, 6), 5)) < 1, _T.VEIN)
        c.paint(c.column(side * 16.0, curve, (1.8, 1.8)) < 1, _T.ARTERY)
    _spine(
        c,
        front=curve,
        body=(c.between(19, 26), c.between(15, 19), c.between(13, 17)),
        disc_mm=c.between(3, 6),
        cord=True,
    )
    return c


def _vertebra_behind(c: Canvas, y: float) -> None:
    for side in (-1, 1):
        c.muscles(c.column(side * 30.0, y - 22.0, (24, 18)) < 1, fat_share=0.12)
        c.muscles(c.column(side * 38.0, y + 6.0, (16, 18)) < 1, fat_share=0.06)
    _spine(c, front=y, body=(46.0, 33.0, 27.0), disc_mm=9.0, cord=c.chance(0.5))


def _kidney(c: Canvas, side: float) -> None:
    centre = (side * c.between(55, 72), c.between(-48, -28), c.between(-55, -15))
    radius = c.between(25, 32)
    kidney = c.ellipsoid(centre, (radius, radius * 0.9, radius * 1.8))
    c.paint(kidney < 1, _T.RENAL_CORTEX)
    c.paint((kidney < 0.72) & (c.noise("grain") > 0), _T.RENAL_MEDULLA)
    c.paint(
        c.ellipsoid((centre[0] - side * 9, centre[1], centre[2]), (radius * 0.5, radius * 0.35, radius)) < 1, _T.FAT
    )
    c.paint(c.ellipsoid((centre[0] - side * 10, centre[1], centre[2]), (4, 4, 10)) < 1, _T.URINE)


def abdomen(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """An upper abdomen: liver, spleen, kidneys, pancreas, stomach, bowel, vessels, spine, base of the lungs."""
    c = Canvas((400.0, 290.0, 250.0), 2.0 * coarser, rng, bend_mm=7.0)
    wide, deep = c.between(140, 178), c.between(92, 125)
    outline = (c.column(0.0, 0.0, (wide, deep), 2.5) - 1.0) * deep
    inside = c.envelope(outline, fat_mm=c.between(8, 40), skin_mm=2.3)
    c.muscles(inside, fat_share=0.2)
    spine_y = -deep + c.between(52, 62)
    cavity = (c.column(0.0, 12.0, (wide - 45, deep - 38), 2.5) < 1) | (
        c.ellipsoid((0, -20, 0), (wide - 60, deep - 45, 300)) < 1
    )
    c.paint(cavity & inside, _T.FAT)
    bowel = cavity & (c.z < 20)
    loops = c.noise()
    c.paint(bowel & (loops > -0.1), _T.BOWEL_WALL)
    c.paint(bowel & (loops > 0.2), _T.BOWEL_CONTENT)
    c.paint(bowel & (loops > 1.5), _T.AIR)
    top = c.between(55, 95)
    c.paint(cavity & (c.z > top - 0.003 * (c.x.square() + c.y.square())) & (c.z > 30), _T.LUNG)
    for side in (-1.0, 1.0):
        _kidney(c, side)
    _upper_organs(c, wide, deep)
    for x, tissue, radius in ((6.0, _T.ARTERY, 10.0), (-16.0, _T.VEIN, 11.0)):
        c.paint(c.column(x, spine_y + 30, (radius, radius)) < 1, tissue)
    _vertebra_behind(c, spine_y)
    ribs = (
        (outline > -c.between(26, 34))
        & (outline < -c.between(12, 18))
        & (torch.remainder(c.z + 0.35 * c.y.abs(), 27) < 10)
    )
    c.paint(ribs & inside & (c.z > -20), _T.CORTICAL_BONE)
    c.paint(ribs & inside & (c.z > -20) & (c.noise("grain") > -0.7), _T.RED_MARROW)
    return c


def _upper_organs(c: Canvas, wide: float, deep: float) -> None:
    """The patient's right is at negative x: liver and gall bladder there, spleen and stomach on the left."""
    stomach = c.ellipsoid(
        (c.between(35, 60), c.between(20, 45), c.between(15, 45)), (c.between(28, 45), c.between(22, 35), 38)
    )
    c.paint(stomach < 1.12, _T.BOWEL_WALL)
    c.paint(stomach < 1.0, _T.BOWEL_CONTENT)
    if c.chance(0.6):
        c.paint((stomach < 1.0) & (c.y > c.between(20, 45)), _T.AIR)
    c.paint(c.tube([(-20, 10, -8), (15, 0, 5), (60, -25, 18)]) < c.between(8, 14), _T.PANCREAS)
    spleen = c.ellipsoid(
        (wide - c.between(48, 58), -deep * 0.35, c.between(10, 40)), (c.between(22, 32), c.between(38, 50), 48)
    )
    c.paint(spleen < 1, _T.SPLEEN)
    liver = torch.minimum(
        c.ellipsoid((-wide + c.between(80, 95), 0, 25), (c.between(62, 78), deep * 0.72, 85), 2.4),
        c.ellipsoid((-20, deep * 0.3, 40), (c.between(55, 90), deep * 0.33, 40)),
    )
    c.paint(liver < 1, _T.LIVER)
    vessels = (liver < 0.95) & c.curves(c.between(0.12, 0.22))
    c.paint(vessels, _T.VEIN)
    gall_bladder = c.ellipsoid((-wide + c.between(95, 110), deep * 0.4, -25), (13, 16, 28))
    c.paint(gall_bladder < 1.12, _T.BOWEL_WALL)
    c.paint(gall_bladder < 1, _T.BILE)


def breast(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """Both breasts before the chest wall: fat, fibroglandular tissue, pectoral muscle, ribs, lungs, heart."""
    c = Canvas((380.0, 260.0, 200.0), 1.8 * coarser, rng, bend_mm=5.0)
    wall = -5.0 - 0.0016 * c.x.square()
    radius = c.between(48, 78)
    outline = torch.minimum(
        torch.minimum(*((c.ellipsoid((s * 78.0, 0, 0), (72, radius + 40, 80), 2.1) - 1.0) * 60 for s in (-1, 1))),
        torch.maximum(c.y - wall - 4, (c.column(0.0, -90.0, (175, 105), 2.4) - 1.0) * 100),
    )
    inside = c.envelope(outline, fat_mm=c.between(6, 16), skin_mm=2.2)
    glandular = c.noise("grain")
    for side in (-1, 1):
        cone = c.ellipsoid((side * 78.0, c.between(18, 34), 0), (c.between(34, 50), radius, c.between(38, 55)))
        density = c.between(-0.7, 1.2)
        c.paint(inside & (cone < 1) & (c.y > wall) & (glandular > density * cone), _T.FIBROGLANDULAR)
        c.paint(inside & (cone < 1) & (c.y > wall) & c.curves(0.1), _T.VEIN)
    chest = c.y < wall - 4
    c.muscles(chest & (outline < -2), fat_share=0.3)
    thorax = c.column(0.0, -95.0, (142, 82), 2.4)
    c.paint(thorax < 1.06, _T.FAT)
    ribs = (thorax < 1.05) & (thorax > 0.95) & (torch.remainder(c.z + 0.3 * c.x.abs(), 28) < 9)
    c.paint(ribs, _T.CORTICAL_BONE)
    c.paint(thorax < 0.95, _T.LUNG)
    heart = c.ellipsoid((c.between(5, 30), -70, -20), (58, 48, 65))
    c.paint(heart < 1, _T.MUSCLE)
    c.paint((heart < 0.75) & (c.noise() > -0.5), _T.ARTERY)
    return c
