"""Organs of the pelvis, of random geometry: prostate or uterus, bladder, rectum.

The origin lies between the hip joints: the symphysis at (0, 50, -50), the middle of the prostate at about (0, 10, -40).
"""

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.part import Part
from training.simulate.physics.tissues import Tissue

_T = Tissue


def bladder(c: Part) -> None:
    """A bladder between empty and full, its neck at the base of the prostate; the wall thicker in some."""
    wide, deep, high = c.between(18, 52), c.between(15, 36), c.between(11, 44)
    part, d = c.ball((c.between(-5, 5), c.between(20, 28), -20 + 0.95 * high), (wide, deep, high), c.between(2.0, 2.6))
    d = d + c.between(0.0, 2.5) * part.noise("slow")
    wall = c.between(1.6, 3.0) + (1.5 if high < 18 else 0.0) + (c.between(0, 4) if c.chance(0.15) else 0.0)
    part.paint(d < 0.8, _T.FAT)
    part.paint(d < 0, _T.BOWEL_WALL if c.chance(0.5) else _T.MUSCLE)
    part.paint(d < -wall, _T.URINE)


def rectum(c: Part, *, coil: bool) -> None:
    """Rectum and anal canal in the mesorectal fat: collapsed, with stool or gas, or stretched by a coil's balloon."""
    bow, left = c.between(-12, 12), c.between(25, 50) * (1 if c.chance(0.8) else -1)
    line = [(0, -40, -98), (0, -22, -70), (0, -29, -48), (bow / 2, -40, -15), (bow, -50, 20), (-bow, -42, 48)]
    sigmoid = [(-bow, -42, 48), (-left, -15, 60), (-1.6 * left, 15, 50), (-1.9 * left, 10, 85)]
    for points, radius in ((line, c.between(8, 16)), (sigmoid, c.between(8, 15))):
        part = c.near(points, 34)
        d = part.tube(points)
        if points is line:
            _mesorectum(part, d)
        flat = part.x - sum(p[0] for p in points) / len(points)  # pressed flat from the front, or from the sides
        d = d + c.between(-0.02, 0.02) * flat.square().clamp(max=400) + 1.2 * part.noise("lumps")
        _bowel(part, d - radius * (1.0 + 0.3 * part.noise("slow").clamp(-1.5, 1.5)))
    sphincter = c.near(line[:2], 18)
    d = sphincter.tube([line[0], (0, -23, -71)])
    sphincter.paint(d < c.between(11, 14), _T.MUSCLE)
    sphincter.paint((d < 8.5) & (d > 7.7), _T.FAT)
    sphincter.paint(d < 5, _T.BOWEL_WALL)
    sphincter.paint(d < 3, _T.MUCOSA)
    if coil:
        _balloon(c)


def _mesorectum(c: Part, d: Tensor) -> None:
    """The fascia round the fat of the rectum, and vessels in the fat."""
    reach = c.between(22, 32)
    above = c.z > -35
    sheet = (d - 0.22 * c.x.abs() + 3.5 * c.noise("slow") - reach + 4).abs() < 0.7
    sheet &= c.noise("slow") > c.between(-1.5, 0.8)  # it is not seen all round
    c.paint(sheet & above, _T.LIGAMENT if c.chance(0.4) else _T.SKIN, over=(_T.FAT,))
    for _ in range(2):
        c.paint((d < reach) & above & c.curves(0.16), _T.VEIN, over=(_T.FAT,))


def _bowel(c: Part, d: Tensor) -> None:
    """Wall, mucosa and filling within a signed distance."""
    c.paint(d < 0, _T.BOWEL_WALL)
    c.paint((d < -1.8) & (c.noise("lumps") > 0.0), _T.MUCOSA)
    filling = d + c.between(1.0, 2.5) * c.noise("lumps") < -c.between(2.5, 9.0)
    gas = c.noise("slow") + c.between(-1.5, 1.5) > 0
    c.paint(filling, _T.BOWEL_CONTENT)
    c.paint(filling & gas, _T.AIR)


def _balloon(c: Part) -> None:
    """An inflated endorectal coil behind the prostate: a black bag with the coil's mount in it."""
    radius = c.between(17, 28)
    high = c.between(34, 48)
    part, d = c.ball((c.between(-4, 4), -11 - 0.93 * radius, -40), (radius * c.between(1.0, 1.15), radius, high), 2.5)
    d = d + c.between(0.3, 1.3) * part.noise("slow")
    part.paint(d < c.between(2.0, 3.5), _T.BOWEL_WALL)
    part.paint((d < 1.2) & (part.noise() > -0.3), _T.MUCOSA)
    part.paint(d < 0, _T.AIR)
    if c.chance(0.3):  # some are filled with a liquid that gives signal
        part.paint((d < 0) & (d > -c.between(1.5, 5.0)) & (part.y < -11 - radius), _T.BOWEL_CONTENT)


def prostate(c: Part) -> None:
    """The gland with its zones, nodules, urethra, at times a tumour; the seminal vesicles and the veins round it."""
    size, growth = c.between(0.78, 1.12), c.between(0.0, 1.0) ** 1.3
    radii = (25 * size * (1 + 0.2 * growth), 16 * size * (1 + 0.4 * growth), 21 * size * (1 + 0.35 * growth))
    middle = (c.between(-3, 3), -9 + radii[1], -62 + radii[2])  # it rests on the rectum and on the pelvic floor
    _plexus(c, middle, radii)
    _vesicles(c, middle, radii)
    part, d = c.ball(middle, radii, 2.2)
    # The face towards the rectum is flat or hollow.
    d = torch.maximum(d, middle[1] - 0.86 * radii[1] - part.y + 0.002 * (part.x - middle[0]) ** 2)
    part.paint(d < 0.9, _T.LIGAMENT if c.chance(0.4) else _T.MUSCLE)
    part.paint(d < 0, _T.PERIPHERAL_ZONE)
    part.paint((d < 0) & (part.noise("grain") > c.between(1.0, 2.2)), _T.FIBROGLANDULAR)
    if c.chance(0.35):  # inflamed or scarred
        part.paint((d < 0) & (part.noise("lumps") > c.between(0.5, 1.4)), _T.TRANSITION_ZONE)
    _transition_zone(part, d, middle, radii, growth)
    if c.chance(0.4):
        _tumour(part, d, middle, radii)
    _urethra(c, middle, radii)


def _transition_zone(
    c: Part, gland: Tensor, middle: tuple[float, float, float], radii: tuple[float, float, float], growth: float
) -> None:
    """What grows with age: nodules with dark rims, glandular (bright) or stromal (dark); stroma in front."""
    x, y, z = middle
    share = 0.55 + 0.33 * growth
    inner_radii = (radii[0] * share, radii[1] * (share - 0.02), radii[2] * min(0.95, share + 0.12))
    centre = (x, y + 0.24 * radii[1] * (1.2 - 0.5 * growth), z + 0.1 * radii[2])
    d = (c.ellipsoid(centre, inner_radii, 2.2) - 1.0) * min(inner_radii) + 0.8 * c.noise("slow")
    d = torch.maximum(d, gland + 1.2)
    c.paint(d < 0.8, _T.MUSCLE, over=(_T.PERIPHERAL_ZONE, _T.FIBROGLANDULAR, _T.TRANSITION_ZONE))
    c.paint(d < 0, _T.TRANSITION_ZONE)
    c.paint((d < 0) & (c.noise("lumps") > 0.9), _T.FIBROGLANDULAR)
    kinds = (_T.PERIPHERAL_ZONE, _T.TRANSITION_ZONE, _T.TRANSITION_ZONE, _T.FIBROGLANDULAR, _T.MUCOSA, _T.PANCREAS)
    for _ in range(int(c.rng.integers(3, 7) + 12 * growth)):
        where = [m + r * c.between(-0.8, 0.8) for m, r in zip(centre, inner_radii, strict=True)]
        r = c.between(2.5, 4.5 + 7 * growth)
        nodule = c.near([where], r + 3)
        ball = nodule.ellipsoid(where, (r, r * c.between(0.8, 1.2), r * c.between(0.8, 1.3))) - 1.0
        own = ball * r + 0.7 * nodule.noise("lumps")
        zone = nodule.where(_T.TRANSITION_ZONE, _T.FIBROGLANDULAR, _T.PERIPHERAL_ZONE, _T.MUCOSA, _T.PANCREAS)
        zone &= nodule.ellipsoid(centre, inner_radii, 2.2) < 1.0
        nodule.paint(zone & (own < 0.6), _T.MUSCLE)
        inside = zone & (own < -0.4)
        nodule.paint(inside, kinds[int(c.rng.integers(len(kinds)))])
        nodule.paint(inside & (nodule.noise("grain") > c.between(0.2, 2.0)), _T.PERIPHERAL_ZONE)
        if c.chance(0.12):
            nodule.paint(zone & (own < -0.5 * r), _T.CYST)
    stroma = c.ellipsoid((x, y + 0.86 * radii[1], z), (radii[0] * c.between(0.35, 0.6), 5, radii[2] * 0.75))
    c.paint((stroma < 1) & (gland < 0), _T.MUSCLE)
    central = c.ellipsoid((x, y - 0.3 * radii[1], z + 0.72 * radii[2]), (0.42 * radii[0], 6, 0.28 * radii[2]))
    c.paint((central < 1) & (gland < -0.8), _T.FIBROGLANDULAR)


def _tumour(c: Part, gland: Tensor, middle: tuple[float, float, float], radii: tuple[float, float, float]) -> None:
    """A focus low in T2 whose diffusion is restricted (as the spleen's is), mostly in the peripheral zone."""
    angle = c.between(-0.5, np.pi + 0.5)
    reach = c.between(0.7, 0.9)
    where = (
        middle[0] + reach * radii[0] * np.cos(angle),
        middle[1] - reach * radii[1] * np.sin(angle),
        middle[2] + c.between(-0.6, 0.5) * radii[2],
    )
    r = c.between(3, 10)
    focus = (c.ellipsoid(where, (r, r * c.between(0.5, 0.9), r * c.between(0.8, 1.3))) - 1.0) * r
    leak = 1.5 if c.chance(0.2) else 0.0  # some grow through the capsule
    c.paint((focus + 1.2 * c.noise("lumps") < 0) & (gland < leak), _T.SPLEEN)


def _urethra(c: Part, middle: tuple[float, float, float], radii: tuple[float, float, float]) -> None:
    """From the bladder's neck to the bulb of the penis, whose spongy bodies are bright."""
    x, y, z = middle
    top, veru = (x, y + 0.3 * radii[1], z + radii[2] + 3), (x, y - 0.1 * radii[1], z)
    line = [top, veru, (0, 6, -62), (0, 9, -80)]
    part = c.near(line, 12)
    d = part.tube(line)
    d[part.where(_T.URINE)] = 99.0  # it ends at the bladder's neck
    part.paint(d < c.between(2.5, 4.0), _T.MUSCLE)
    part.paint((d < 7) & (part.z < z - 0.95 * radii[2]) & (part.z > -78), _T.MUSCLE)
    part.paint(d < c.between(1.2, 2.2), _T.MUCOSA)
    if c.chance(0.12):  # resected: a funnel of urine from the bladder down
        funnel = c.near([top, veru], 12)
        wide = (funnel.z - z).clamp(min=0) * c.between(0.1, 0.35)
        funnel.paint((funnel.tube([top, veru]) < wide) & (funnel.z < top[2] + 2), _T.URINE)
    spongy = [([(0, 4, -84), (0, 22, -86), (0, 45, -95)], c.between(7, 11))]
    spongy += [([(s * 36, -8, -84), (s * 14, 26, -76), (s * 6, 50, -84)], c.between(5, 7.5)) for s in (-1, 1)]
    for points, r in spongy:
        body = c.near(points, r + 4)
        d = body.tube(points)
        body.paint(d < r + 2.5, _T.MUSCLE)
        body.paint(d < r, _T.LIGAMENT)
        body.paint(d < r - 1.0, _T.MUCOSA)


def _vesicles(c: Part, middle: tuple[float, float, float], radii: tuple[float, float, float]) -> None:
    """Seminal vesicles: coiled tubes full of bright fluid, empty in some; the deferent ducts between them."""
    x, y, z = middle
    base = z + 0.8 * radii[2]
    for side in (-1, 1):
        long, thick = c.between(22, 42), c.between(4, 9)
        line = [(x + side * 3, y - 0.6 * radii[1], base), (x + side * long, y - radii[1] - 2, base + c.between(4, 22))]
        part = c.near(line, thick + 3)
        d = part.tube(line) - thick
        part.paint(d + part.noise("lumps") < 0, _T.BOWEL_WALL)
        lumen = part.noise("lumps").abs() > c.between(0.15, 0.6)
        part.paint((d < -0.8) & lumen, _T.PERIPHERAL_ZONE if c.chance(0.6) else _T.CYST)
        duct = [(x + side * 2, line[0][1] + 2, base + 2), (x + side * 12, y - 4, base + 18), (side * 40, 20, base + 30)]
        part = c.near(duct, 6)
        d = part.tube(duct)
        outside = part.where(_T.FAT)  # not in the bladder
        part.paint(outside & (d < 3.0), _T.MUSCLE)
        part.paint(outside & (d < 1.0), _T.MUCOSA)


def _plexus(c: Part, middle: tuple[float, float, float], radii: tuple[float, float, float]) -> None:
    """Slow veins like lace in the fat in front of the gland and at its sides, more in some; the nerves behind."""
    x, y, z = middle
    part, d = c.ball((x, y + 6, z), (radii[0] + 7, radii[1] + 9, radii[2] + 8))
    shell = (d < c.between(0, 5)) & (part.y > y - 0.8 * radii[1])
    for tissue in (_T.MUCOSA, _T.VEIN, _T.PERIPHERAL_ZONE):
        part.paint(shell & part.curves(c.between(0.2, 0.45)), tissue, over=(_T.FAT,))
    part.paint(shell & (part.noise("lumps").abs() < c.between(0.03, 0.12)), _T.SKIN, over=(_T.FAT,))
    for side in (-1, 1):
        for _ in range(4):
            foot = (x + side * (0.78 * radii[0] + c.between(0, 7)), y - 0.75 * radii[1] - c.between(-3, 4), -70)
            line = [foot, (foot[0] + c.between(-2, 3) * side, foot[1], -10)]
            dot = c.near(line, 4)
            kind = (_T.VEIN, _T.NERVE, _T.ARTERY)[int(c.rng.integers(3))]
            dot.paint(dot.tube(line) < c.between(0.7, 1.5), kind, over=(_T.FAT,))


def uterus(c: Part) -> None:
    """Vagina, urethra, cervix and a uterus tilted to the front or back; fibroids; ovaries with follicles."""
    root = np.array([c.between(-4, 4), -4.0, -14.0])
    angle, long = c.between(-0.5, 1.5), c.between(45, 85)  # from the head's direction to the front
    way = np.array([c.between(-0.3, 0.3), np.sin(angle), np.cos(angle)])
    way /= np.linalg.norm(way)
    tip = root + long * way
    part = c.near([tuple(root), tuple(tip)], 42)
    offsets = [axis - m for axis, m in zip((part.x, part.y, part.z), root, strict=True)]
    u = sum((o * float(w) for o, w in zip(offsets, way, strict=True)), torch.zeros(1)) / long
    t = u.clamp(0, 1)
    distance = torch.zeros(1)
    for share, o, w in zip((0.6, 1.0, 1.0), offsets, way, strict=True):  # wider than deep
        distance = distance + share * (o - t * float(long * w)).square()
    distance = distance.sqrt()
    radius = c.between(0.75, 1.2) * (10 + 13 * t.square() * (3 - 2 * t))
    d = distance - radius + 0.8 * part.noise("slow")
    part.paint(d < 1.0, _T.FAT)
    part.paint(d < 0, _T.TRANSITION_ZONE)
    part.paint((d < -2) & part.curves(0.12), _T.VEIN)
    lining = c.between(0.12, 0.35)
    inside = distance / radius + 0.5 * (t - 0.92).clamp(min=0) * 12
    part.paint(inside < lining + c.between(0.1, 0.25), _T.MUSCLE)
    part.paint(inside < lining, _T.MUCOSA if c.chance(0.8) else _T.CYST)
    for _ in range(int(c.rng.choice([0, 0, 1, 2, 5]))):
        where = root + way * c.between(0.3, 1.0) * long + c.rng.normal(0, 14, 3)
        r = c.between(4, 24)
        ball, fibroid = c.ball(where.tolist(), (r, r * c.between(0.8, 1.1), r))
        ball.paint(fibroid < 0, _T.MUSCLE)
        ball.paint((fibroid < -1) & (ball.noise("grain") > 1.2), _T.TRANSITION_ZONE)
    vagina = [(0, -3, -16), (0, -6, -50), (0, 4, -88)]
    urethra = [(0, 22, -20), (0, 12, -60), (0, 12, -88)]
    for line, r, flat in ((vagina, 8.0, 0.35), (urethra, 7.0, 1.0)):
        tube = c.near(line, 16)
        way_off = tube.tube(line) if flat == 1.0 else _flat_tube(tube, flat)
        tube.paint((way_off < r) & (tube.z < -14), _T.MUSCLE)
        tube.paint((way_off < 0.5 * r) & (tube.z < -14), _T.MUCOSA)
    for side in (-1, 1):
        _ovary(c, (side * c.between(28, 52), c.between(-28, 8), c.between(0, 38)))


def _flat_tube(c: Part, flat: float) -> Tensor:
    """Distance from the vagina's middle, shrunk across so that the tube is wide from side to side."""
    front = -6 + 0.003 * (c.z + 45).square()
    return torch.hypot(c.x * flat * 1.2, (c.y - front) * 1.6)


def _ovary(c: Part, centre: tuple[float, float, float]) -> None:
    """An ovary with follicles, or a large cyst."""
    part, d = c.ball(centre, (c.between(7, 12), c.between(7, 12), c.between(10, 18)))
    part.paint(d < 0, _T.SPLEEN if c.chance(0.5) else _T.TRANSITION_ZONE)
    for _ in range(int(c.rng.integers(0, 9))):
        where = [m + c.between(-8, 8) for m in centre]
        r = c.between(1.5, 5) if c.chance(0.93) else c.between(8, 25)
        ball, follicle = c.ball(where, (r, r, r))
        ball.paint(follicle < 0, _T.CYST)
