"""Every family there is, and how one series is drawn from it."""

from typing import Final

import numpy as np

from training.simulate.dicom.descriptions import describe
from training.simulate.dicom.vendors import MODELS, family
from training.simulate.physics.scan import Plane, Scan
from training.simulate.protocols.draw import Draw, Protocol
from training.simulate.protocols.echo_planar import ECHO_PLANAR
from training.simulate.protocols.gradient_echo import GRADIENT_ECHO
from training.simulate.protocols.spin_echo import SPIN_ECHO

PROTOCOLS: Final[tuple[Protocol, ...]] = (*SPIN_ECHO, *GRADIENT_ECHO, *ECHO_PLANAR)

# How often each vendor and each plane comes, by region.
_VENDOR_SHARE: Final = {
    "SIEMENS": 0.27,
    "Siemens Healthineers": 0.13,
    "GE MEDICAL SYSTEMS": 0.24,
    "Philips Medical Systems": 0.14,
    "Philips": 0.08,
    "CANON_MEC": 0.05,
    "UIH": 0.05,
    "Hitachi Medical Corporation": 0.04,
}
_PLANES: Final[tuple[Plane, Plane, Plane]] = ("axial", "sagittal", "coronal")
_PLANE_SHARE: Final = {
    "head": (0.66, 0.2, 0.14),
    "neck": (0.4, 0.5, 0.1),
    "cord": (0.85, 0.1, 0.05),
    "lumbar-spine": (0.25, 0.65, 0.1),
    "knee": (0.25, 0.4, 0.35),
    "shoulder": (0.4, 0.25, 0.35),
    "hip": (0.35, 0.2, 0.45),
    "limb": (0.45, 0.2, 0.35),
    "extremity": (0.3, 0.35, 0.35),
    "abdomen": (0.75, 0.02, 0.23),
    "pelvis": (0.6, 0.22, 0.18),
    "prostate": (0.75, 0.13, 0.12),
    "breast": (0.8, 0.18, 0.02),
}
# Of protocols that no vendor's tree has: research, old scanners, somebody's own.
_UNUSUAL_SHARE: Final = 0.25
_MOST_STRETCH: Final = 1.45
# Echo-planar images and what is made of them are axial, but for a few.
_EPI_PLANE_SHARE: Final = (0.9, 0.06, 0.04)


def by_name(name: str) -> Protocol:
    """The family of that name; KeyError names those there are."""
    for protocol in PROTOCOLS:
        if protocol.name == name:
            return protocol
    raise KeyError(f"no protocol is called {name!r}; there are {', '.join(p.name for p in PROTOCOLS)}")


def for_region(region: str) -> tuple[Protocol, ...]:
    """The families that are used there."""
    return tuple(p for p in PROTOCOLS if region in p.regions)


def draw_protocol(region: str, rng: np.random.Generator, *, vendor: str | None = None) -> Protocol:
    """One family of a region, by weight; only of those that the vendor has, if one is given."""
    families = [p for p in for_region(region) if vendor is None or not p.vendors or family(vendor) in p.vendors]
    weights = np.array([p.weight for p in families])
    return families[int(rng.choice(len(families), p=weights / weights.sum()))]


def draw_scanner(protocol: Protocol, region: str, rng: np.random.Generator) -> tuple[str, str, float]:
    """Vendor, model and field of a scanner that has the protocol; 7 T is for heads and knees."""
    makers = [v for v in _VENDOR_SHARE if not protocol.vendors or family(v) in protocol.vendors]
    shares = np.array([_VENDOR_SHARE[v] for v in makers])
    vendor = makers[int(rng.choice(len(makers), p=shares / shares.sum()))]
    models = [m for m in MODELS[vendor] if m[1] < 5.0 or region in ("head", "knee")]
    model, field_t = models[int(rng.integers(len(models)))]
    return vendor, model, field_t


def draw_plane(protocol: Protocol, region: str, rng: np.random.Generator) -> Plane:
    """How the slices lie: by region, echo-planar ones nearly always axial."""
    shares = _EPI_PLANE_SHARE if protocol in ECHO_PLANAR else _PLANE_SHARE[region]
    return _PLANES[int(rng.choice(3, p=shares))]


def draw_scan(protocol: Protocol, region: str, rng: np.random.Generator) -> Scan:
    """One series of a family in a region: scanner, plane and every parameter."""
    vendor, model, field_t = draw_scanner(protocol, region, rng)
    plane = draw_plane(protocol, region, rng)
    agent = bool(rng.random() < protocol.agent_share)
    stretch = float(rng.uniform(1.1, _MOST_STRETCH)) if rng.random() < _UNUSUAL_SHARE else 1.0
    draw = Draw(
        rng=rng, vendor=vendor, model=model, field_t=field_t, region=region, plane=plane, agent=agent, stretch=stretch
    )
    return scan(protocol, draw)


def scan(protocol: Protocol, draw: Draw) -> Scan:
    """Draw every parameter of one series of this family."""
    recipe = protocol.draw(draw)
    return Scan(
        protocol=protocol.name,
        technique=protocol.technique,
        vendor=draw.vendor,
        model=draw.model,
        region=draw.region,
        plane=draw.plane,
        physics=recipe.physics,
        sampling=recipe.sampling,
        labels=protocol.labels(recipe.physics),
        description=describe(protocol, draw, recipe.physics),
        header=recipe.header,
    )
