"""Which pulse sequence a header describes, across the ways vendors write it down."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from inference.header import FrameHeader

# Sequence Name (0018,0024) and Pulse Sequence Name (0018,9005) begin with the vendor's own mnemonic. First match wins.
_SIEMENS: Final = (
    (r"tgse", "SE GR"),
    (r"ep(se|_b|ir)|re_b|resolve", "SE EP"),
    (r"epfid", "GR EP"),
    (r"(tfi|ci|de|ps)\d", "GR SS"),
    (r"(tfl|fl|fm|fi|pc|qfl|fq|me|swi)\d", "GR"),
    (r"((tse|tir|se|ir|h)\d)|spc", "SE"),
)
_CANON: Final = ((r"SEEPI", "SE EP"), (r"FEEPI", "GR EP"), (r"FSE|FASE|SE", "SE"), (r"FE|FFE", "GR"))
_UIH: Final = ((r"epi_(dti|dwi|se)", "SE EP"), (r"epi", "EP"), (r"gre", "GR"), (r"fse|se", "SE"))
_NAMES: Final = {"siemens": _SIEMENS, "canon": _CANON, "toshiba": _CANON, "uih": _UIH}

# What Philips writes as the third value of Image Type (0008,0008).
_PHILIPS_IMAGE_TYPE: Final = {"M_SE": "SE", "M_FFE": "GR", "M_IR": "IR", "SE": "SE", "FFE": "GR", "IR": "IR"}
# Steady State Pulse Sequence (0018,9017) of sequences whose echo may lie near or past TR.
_BALANCED: Final = ("FREE_PRECESSION", "TRANSVERSE", "TIME_REVERSED")
_ULTRASHORT = re.compile(r"(?<![a-z])(m?ute|zte|ozteo|petra|silenz|rufis)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Technique:
    """The pulse sequence as Scanning Sequence (0018,0020) or the Enhanced attributes say it."""

    spin_echo: bool
    gradient_echo: bool
    echo_planar: bool
    inversion: bool  # an inversion pulse is named: IR, Inversion Recovery (0018,9009) YES, Scan Options IR
    prepared: bool  # an MPRAGE and its kin: MP, or GE's and Philips' gradient echo with an inversion time and no IR
    steady_state: bool  # SS or a balanced or echo-shifted sequence by name: echoes may lie near or past TR
    single_shot: bool
    ultrashort: bool  # by name; echo times of microseconds are real there

    @property
    def known(self) -> bool:
        """True if the header says at all what kind of echo it is."""
        return self.spin_echo or self.gradient_echo or self.echo_planar

    @property
    def plain_spin_echo(self) -> bool:
        """Spin or turbo spin echo, without gradient echoes or echo-planar readout."""
        return self.spin_echo and not self.gradient_echo and not self.echo_planar

    @property
    def plain_gradient_echo(self) -> bool:
        """Gradient echo, without spin echoes or echo-planar readout."""
        return self.gradient_echo and not self.spin_echo and not self.echo_planar


def technique(header: FrameHeader) -> Technique:
    """Combine Scanning Sequence, Sequence Variant, Scan Options and the Enhanced MR attributes of one frame."""
    scanning = frozenset(header.scanning_sequence)
    variant = frozenset(header.sequence_variant)
    echo = header.echo_pulse_sequence
    named = named_technique(header)
    image_type = philips_technique(header)
    # Philips and GE write IR alone for an inversion-recovery spin echo; GR beside it makes it a gradient echo.
    alone = "IR" in scanning and not scanning & {"SE", "GR", "EP", "RM"}
    spoiled = "GR" in named or has_spoiled_timing(header)
    spin = "SE" in scanning or echo in ("SPIN", "BOTH") or (alone and not spoiled)
    gradient = "GR" in scanning or echo in ("GRADIENT", "BOTH") or (alone and spoiled)
    if not spin and not gradient and "RM" not in scanning:  # Siemens writes EP alone and says which in the name
        spin, gradient = "SE" in named, "GR" in named
    return Technique(
        spin_echo=spin,
        gradient_echo=gradient,
        echo_planar="EP" in scanning or header.echo_planar_pulse_sequence == "YES" or "EP" in named,
        inversion="IR" in scanning or header.inversion_recovery == "YES" or "IR" in header.scan_options
        or "IR" in image_type,
        prepared="MP" in variant or _is_siemens_turbo_flash(header) or (gradient and _is_inverted(header)),
        steady_state=bool(variant & {"SS", "TRSS"}) or header.steady_state_pulse_sequence in _BALANCED or "SS" in named,
        single_shot=_is_single_shot(header),
        ultrashort=any(_ULTRASHORT.search(text or "") for text in _names(header)),
    )  # fmt: skip


def has_spoiled_timing(header: FrameHeader) -> bool:
    """Short echo, low flip angle and short TR (or a preparation): an MPRAGE, SPGR or VIBE, whatever it is called."""
    te, tr, flip = header.echo_time_ms, header.repetition_time_ms, header.flip_angle_deg
    if te is None or tr is None or flip is None or not 0 < te < 6 or not 0 < flip <= 40:
        return False
    return te < tr < 50 or "MP" in header.sequence_variant


def named_technique(header: FrameHeader) -> frozenset[str]:
    """SE, GR, EP, SS as the vendor's sequence name says it; empty where the name says nothing known."""
    return _named(header.manufacturer or "", header.sequence_name or "")


def philips_technique(header: FrameHeader) -> frozenset[str]:
    """SE, GR or IR as Philips' Image Type says it; empty for other vendors."""
    if not is_vendor(header, "philips"):
        return frozenset()
    return frozenset(_PHILIPS_IMAGE_TYPE[value] for value in header.image_type if value in _PHILIPS_IMAGE_TYPE)


def is_vendor(header: FrameHeader, name: str) -> bool:
    """True if Manufacturer (0008,0070) names this vendor, e.g. `philips`."""
    return name in (header.manufacturer or "").lower()


@lru_cache(maxsize=1024)
def _named(manufacturer: str, sequence_name: str) -> frozenset[str]:
    name = sequence_name.lstrip("*#")
    for vendor, patterns in _NAMES.items():
        if vendor in manufacturer.lower():
            for pattern, echoes in patterns:
                if re.match(pattern, name):
                    return frozenset(echoes.split())
    return frozenset()


def _is_siemens_turbo_flash(header: FrameHeader) -> bool:
    return is_vendor(header, "siemens") and (header.sequence_name or "").lstrip("*#").startswith("tfl")


def _is_inverted(header: FrameHeader) -> bool:
    # Saturation and spectral preparations have delays too, below 200 ms; echo-planar ones are of spin labelling.
    return "EP" not in header.scanning_sequence and (header.inversion_time_ms or 0) >= 200


def _is_single_shot(header: FrameHeader) -> bool:
    name = (header.sequence_name or "").lstrip("*#")
    return "SS_GEMS" in header.scan_options or (is_vendor(header, "siemens") and name.startswith("h2d"))


def _names(header: FrameHeader) -> tuple[str | None, ...]:
    return header.sequence_name, header.series_description, header.protocol_name
