"""Relaxation, proton density, diffusion and susceptibility of tissues from 0.55 to 7 T.

T1 and T2 are given at 1.5 and 3 T and carried to other fields along a power law through both values (Bottomley 1984:
T1 = A x nu^B); tissues measured at 7 or 0.55 T have those values too. R2' grows linearly with the field (Peters 2007).

Sources, by the key in the table:
  B84  Bottomley 1984, Med Phys 11:425 (fat; the T1 at which STIR nulls it at the TI in use)
  B04  de Bazelaire 2004, Radiology 230:652 (abdomen, pelvis, marrow, 1.5 and 3 T; fat's T2 is 58 and 68 ms there and
       165 and 133 ms in G04: in trains of echoes it lies between)
  C10  Cox and Gowland 2010, MRM 64:1140 (T2 of brain at 1.5, 3 and 7 T)
  G04  Gold 2004, AJR 183:343 (cartilage, synovial fluid, muscle, fat, 1.5 and 3 T)
  P07  Peters 2007, Magn Reson Imaging 25:748 (T2* of brain at 1.5, 3 and 7 T)
  R06  Rakow-Penner 2006, JMRI 23:87 (breast, 1.5 and 3 T)
  R07  Rooney 2007, MRM 57:308 (T1 of brain, CSF and blood, 0.2 to 7 T)
  S05  Stanisz 2005, MRM 54:507 (T1, T2, MT of tissues in vitro, 1.5 and 3 T)
  W08  Wright 2008, MAGMA 21:121 (T1 of brain at 1.5, 3 and 7 T)
  C19  Campbell-Washburn 2019, Radiology 293:384 (brain and body at 0.55 T)
  L04  Lu 2004, MRM 52:679 (T1 of blood)
  H86  Holland 1986, AJNR 7:201 (brains from birth to adolescence: both times fall with age, most in the first years)
  Q    no single measurement: chosen inside the range that reviews quote (Bojorquez 2017, MRI 35:69, at 3 T)
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Final

import numpy as np
import torch
from torch import Tensor


class Tissue(IntEnum):
    """What a voxel is made of; the value is the voxel's number in an anatomy."""

    AIR = 0
    CSF = 1
    GREY_MATTER = 2
    WHITE_MATTER = 3
    DEEP_GREY = 4
    PALLIDUM = 5
    FAT = 6
    YELLOW_MARROW = 7
    RED_MARROW = 8
    CORTICAL_BONE = 9
    MUSCLE = 10
    SKIN = 11
    MUCOSA = 12
    VITREOUS = 13
    NERVE = 14  # spinal cord, optic nerve, nerve roots
    ARTERY = 15
    VEIN = 16
    MENINGES = 17  # dura, choroid plexus, pituitary: no blood-brain barrier
    GLAND = 18  # salivary, lacrimal, thyroid
    CARTILAGE = 19
    SYNOVIAL_FLUID = 20
    LIGAMENT = 21  # tendon, ligament, meniscus, labrum
    NUCLEUS_PULPOSUS = 22
    ANNULUS = 23
    LIVER = 24
    SPLEEN = 25
    RENAL_CORTEX = 26
    RENAL_MEDULLA = 27
    PANCREAS = 28
    BOWEL_WALL = 29
    BOWEL_CONTENT = 30
    BILE = 31
    URINE = 32
    PERIPHERAL_ZONE = 33
    TRANSITION_ZONE = 34
    FIBROGLANDULAR = 35
    LUNG = 36
    OEDEMA = 37  # oedema, gliosis, demyelination
    TUMOUR = 38
    ENHANCING_TUMOUR = 39
    INFARCT = 40  # acute: restricted diffusion
    BLOOD_PRODUCT = 41
    CYST = 42


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """One row of the table; relaxation times in ms at 1.5 and 3 T."""

    t1_ms: tuple[float, float]
    t2_ms: tuple[float, float]
    proton_density: float  # of CSF
    r2_prime_hz: float = 1.5  # at 1.5 T
    adc_um2_ms: float = 1.0  # 1 um2/ms = 1e-3 mm2/s
    anisotropy: float = 0.0  # how much the diffusivity depends on direction, [0, 1]
    fat_fraction: float = 0.0  # of the proton density
    susceptibility_ppm: float = 0.0  # to water
    transfer: float = 0.0  # share of the signal that magnetisation transfer may take, [0, 1]
    gadolinium_mm: float = 0.0  # mmol/l some minutes after 0.1 mmol/kg
    texture: float = 0.05  # standard deviation of what varies inside the tissue
    t1_other_ms: tuple[tuple[float, float], ...] = ()  # (tesla, ms) measured at further fields
    t2_other_ms: tuple[tuple[float, float], ...] = ()
    source: str = "Q"


_T = Tissue
_YOUNG_SHARE: Final = 0.15
FACTS: Final[dict[Tissue, Facts]] = {
    _T.AIR: Facts(t1_ms=(1000, 1000), t2_ms=(1, 1), proton_density=0.0, susceptibility_ppm=9.4, texture=0.0),
    _T.CSF: Facts(t1_ms=(4300, 4300), t2_ms=(2000, 1700), proton_density=1.0, r2_prime_hz=0.5, adc_um2_ms=3.0,
                  texture=0.02, source="R07"),
    _T.GREY_MATTER: Facts(t1_ms=(1197, 1607), t2_ms=(95, 85), proton_density=0.83, r2_prime_hz=1.5, adc_um2_ms=0.84,
                          anisotropy=0.1, transfer=0.15, gadolinium_mm=0.05, t1_other_ms=((0.55, 717), (7.0, 1939)),
                          t2_other_ms=((7.0, 47),),
                          source="W08 P07 C10 C19"),
    _T.WHITE_MATTER: Facts(t1_ms=(646, 838), t2_ms=(75, 69), proton_density=0.71, r2_prime_hz=2.4, adc_um2_ms=0.72,
                           anisotropy=0.7, transfer=0.25, gadolinium_mm=0.02, texture=0.04,
                           t1_other_ms=((0.55, 493), (7.0, 1126)), t2_other_ms=((7.0, 47),), source="W08 P07 C10 C19"),
    _T.DEEP_GREY: Facts(t1_ms=(980, 1250), t2_ms=(83, 72), proton_density=0.80, r2_prime_hz=5.0, adc_um2_ms=0.76,
                        anisotropy=0.2, transfer=0.18, gadolinium_mm=0.05, source="P07 R07"),
    _T.PALLIDUM: Facts(t1_ms=(760, 950), t2_ms=(64, 52), proton_density=0.74, r2_prime_hz=9.0, adc_um2_ms=0.76,
                       anisotropy=0.2, susceptibility_ppm=0.12, transfer=0.2, gadolinium_mm=0.04, source="P07"),
    _T.FAT: Facts(t1_ms=(260, 310), t2_ms=(95, 85), proton_density=0.9, r2_prime_hz=8.0, adc_um2_ms=0.03,
                  fat_fraction=0.95, susceptibility_ppm=0.6, texture=0.08, source="B84 B04 G04"),
    _T.YELLOW_MARROW: Facts(t1_ms=(260, 310), t2_ms=(90, 80), proton_density=0.75, r2_prime_hz=35.0, adc_um2_ms=0.1,
                            fat_fraction=0.85, texture=0.1, source="G04"),
    _T.RED_MARROW: Facts(t1_ms=(549, 586), t2_ms=(60, 55), proton_density=0.7, r2_prime_hz=45.0, adc_um2_ms=0.4,
                         fat_fraction=0.45, gadolinium_mm=0.15, texture=0.1, source="B04"),
    _T.CORTICAL_BONE: Facts(t1_ms=(220, 250), t2_ms=(0.5, 0.45), proton_density=0.2, susceptibility_ppm=-2.0),
    _T.MUSCLE: Facts(t1_ms=(1008, 1412), t2_ms=(40, 35), proton_density=0.79, r2_prime_hz=6.0, adc_um2_ms=1.5,
                     anisotropy=0.25, transfer=0.35, gadolinium_mm=0.12, texture=0.09, source="S05 G04"),
    _T.SKIN: Facts(t1_ms=(860, 1050), t2_ms=(35, 32), proton_density=0.7, r2_prime_hz=8.0, adc_um2_ms=1.0,
                   transfer=0.2, gadolinium_mm=0.3),
    _T.MUCOSA: Facts(t1_ms=(1150, 1450), t2_ms=(110, 95), proton_density=0.85, r2_prime_hz=6.0, adc_um2_ms=1.5,
                     transfer=0.1, gadolinium_mm=0.9, texture=0.12),
    _T.VITREOUS: Facts(t1_ms=(4000, 4000), t2_ms=(1300, 1000), proton_density=1.0, r2_prime_hz=0.5, adc_um2_ms=2.8,
                       texture=0.01),
    _T.NERVE: Facts(t1_ms=(745, 993), t2_ms=(76, 78), proton_density=0.75, adc_um2_ms=0.9, anisotropy=0.6,
                    transfer=0.22, gadolinium_mm=0.03, source="S05"),
    _T.ARTERY: Facts(t1_ms=(1441, 1664), t2_ms=(250, 150), proton_density=0.87, adc_um2_ms=6.0, gadolinium_mm=0.9,
                     texture=0.02, source="S05 L04"),
    _T.VEIN: Facts(t1_ms=(1441, 1584), t2_ms=(130, 55), proton_density=0.87, r2_prime_hz=12.0, adc_um2_ms=5.0,
                   susceptibility_ppm=0.4, gadolinium_mm=0.9, texture=0.02, source="S05 L04"),
    _T.MENINGES: Facts(t1_ms=(1000, 1300), t2_ms=(80, 70), proton_density=0.8, adc_um2_ms=1.2, gadolinium_mm=0.6),
    _T.GLAND: Facts(t1_ms=(700, 850), t2_ms=(70, 62), proton_density=0.82, r2_prime_hz=5.0, adc_um2_ms=1.1,
                    fat_fraction=0.3, gadolinium_mm=0.5, texture=0.12),
    _T.CARTILAGE: Facts(t1_ms=(1066, 1240), t2_ms=(42, 37), proton_density=0.78, r2_prime_hz=4.0, adc_um2_ms=1.3,
                        transfer=0.3, gadolinium_mm=0.03, source="G04"),
    _T.SYNOVIAL_FLUID: Facts(t1_ms=(2850, 3620), t2_ms=(1210, 767), proton_density=0.97, adc_um2_ms=2.5,
                             gadolinium_mm=0.05, texture=0.02, source="G04"),
    _T.LIGAMENT: Facts(t1_ms=(400, 500), t2_ms=(6, 5), proton_density=0.6, transfer=0.3, texture=0.1),
    _T.NUCLEUS_PULPOSUS: Facts(t1_ms=(1100, 1350), t2_ms=(115, 100), proton_density=0.85, adc_um2_ms=1.9,
                               transfer=0.1, texture=0.12),
    _T.ANNULUS: Facts(t1_ms=(850, 1050), t2_ms=(45, 40), proton_density=0.68, adc_um2_ms=1.2, transfer=0.25,
                      texture=0.1),
    _T.LIVER: Facts(t1_ms=(586, 809), t2_ms=(46, 34), proton_density=0.76, r2_prime_hz=13.0, adc_um2_ms=1.1,
                    fat_fraction=0.05, transfer=0.25, gadolinium_mm=0.4, texture=0.05, t1_other_ms=((0.55, 339),),
                    source="B04 C19"),
    _T.SPLEEN: Facts(t1_ms=(1057, 1328), t2_ms=(79, 61), proton_density=0.83, r2_prime_hz=6.0, adc_um2_ms=0.85,
                     transfer=0.15, gadolinium_mm=0.6, source="B04"),
    _T.RENAL_CORTEX: Facts(t1_ms=(966, 1142), t2_ms=(87, 76), proton_density=0.84, r2_prime_hz=5.0, adc_um2_ms=2.1,
                           transfer=0.1, gadolinium_mm=1.1, source="B04"),
    _T.RENAL_MEDULLA: Facts(t1_ms=(1412, 1545), t2_ms=(85, 81), proton_density=0.87, r2_prime_hz=8.0, adc_um2_ms=1.9,
                            transfer=0.1, gadolinium_mm=0.9, source="B04"),
    _T.PANCREAS: Facts(t1_ms=(584, 725), t2_ms=(46, 43), proton_density=0.8, r2_prime_hz=6.0, adc_um2_ms=1.3,
                       fat_fraction=0.1, transfer=0.2, gadolinium_mm=0.5, texture=0.12, source="B04"),
    _T.BOWEL_WALL: Facts(t1_ms=(950, 1200), t2_ms=(65, 58), proton_density=0.8, r2_prime_hz=12.0, adc_um2_ms=1.6,
                         transfer=0.2, gadolinium_mm=0.6, texture=0.1),
    _T.BOWEL_CONTENT: Facts(t1_ms=(1200, 1500), t2_ms=(180, 150), proton_density=0.8, r2_prime_hz=20.0,
                            adc_um2_ms=2.0, texture=0.35),
    _T.BILE: Facts(t1_ms=(1900, 2200), t2_ms=(800, 600), proton_density=0.95, adc_um2_ms=2.6, texture=0.05),
    _T.URINE: Facts(t1_ms=(3600, 3800), t2_ms=(1400, 1100), proton_density=1.0, adc_um2_ms=2.9, texture=0.02),
    _T.PERIPHERAL_ZONE: Facts(t1_ms=(1400, 1700), t2_ms=(160, 140), proton_density=0.87, r2_prime_hz=3.0,
                              adc_um2_ms=1.7, transfer=0.08, gadolinium_mm=0.35, texture=0.15),
    _T.TRANSITION_ZONE: Facts(t1_ms=(1317, 1597), t2_ms=(88, 80), proton_density=0.84, r2_prime_hz=3.0,
                              adc_um2_ms=1.25, transfer=0.12, gadolinium_mm=0.5, texture=0.25, source="B04"),
    _T.FIBROGLANDULAR: Facts(t1_ms=(1266, 1445), t2_ms=(58, 54), proton_density=0.82, r2_prime_hz=6.0,
                             adc_um2_ms=1.8, transfer=0.12, gadolinium_mm=0.2, texture=0.15, source="R06"),
    _T.LUNG: Facts(t1_ms=(1150, 1300), t2_ms=(45, 40), proton_density=0.2, r2_prime_hz=450.0, adc_um2_ms=2.0,
                   susceptibility_ppm=7.5, gadolinium_mm=0.5, texture=0.2),
    _T.OEDEMA: Facts(t1_ms=(1350, 1750), t2_ms=(170, 150), proton_density=0.92, adc_um2_ms=1.25, anisotropy=0.2,
                     transfer=0.08, gadolinium_mm=0.03, texture=0.1),
    _T.TUMOUR: Facts(t1_ms=(1300, 1700), t2_ms=(130, 115), proton_density=0.88, adc_um2_ms=1.2, transfer=0.1,
                     gadolinium_mm=0.1, texture=0.15),
    _T.ENHANCING_TUMOUR: Facts(t1_ms=(1200, 1550), t2_ms=(110, 98), proton_density=0.86, adc_um2_ms=1.0,
                               transfer=0.1, gadolinium_mm=0.8, texture=0.15),
    _T.INFARCT: Facts(t1_ms=(1250, 1600), t2_ms=(125, 110), proton_density=0.88, adc_um2_ms=0.48, anisotropy=0.1,
                      transfer=0.1, gadolinium_mm=0.05),
    _T.BLOOD_PRODUCT: Facts(t1_ms=(800, 950), t2_ms=(55, 38), proton_density=0.8, r2_prime_hz=70.0,
                            adc_um2_ms=0.7, susceptibility_ppm=0.9, texture=0.25),
    _T.CYST: Facts(t1_ms=(3000, 3300), t2_ms=(900, 750), proton_density=0.98, adc_um2_ms=2.7, texture=0.03),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class TissueParameters:
    """One value per tissue, in the order of `Tissue`, as float32 tensors on one device."""

    t1_ms: Tensor
    t2_ms: Tensor
    r2_prime_hz: Tensor
    proton_density: Tensor
    adc_um2_ms: Tensor
    anisotropy: Tensor
    fat_fraction: Tensor
    transfer: Tensor
    gadolinium_mm: Tensor
    texture: Tensor

    def to(self, device: torch.device) -> "TissueParameters":
        """The same values on another device."""
        return TissueParameters(**{name: getattr(self, name).to(device) for name in TissueParameters.__slots__})


@cache
def _at_field(pair: tuple[float, float], field_t: float, others: tuple[tuple[float, float], ...] = ()) -> float:
    """A relaxation time in ms on straight lines through log(time) over log(field)."""
    points = sorted([(1.5, pair[0]), (3.0, pair[1]), *others])
    fields, times = np.log([p[0] for p in points]), np.log([p[1] for p in points])
    at = np.log(field_t)
    if fields[0] <= at <= fields[-1]:
        return float(np.exp(np.interp(at, fields, times)))
    (f0, f1), (t0, t1) = (fields[:2], times[:2]) if at < fields[0] else (fields[-2:], times[-2:])
    return float(np.exp(t0 + (t1 - t0) * (at - f0) / (f1 - f0)))


def _young(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """What the T1 and T2 of each tissue are longer by in a child's brain, white matter's most (H86)."""
    youth = rng.uniform(0.1, 1.0)
    factors = []
    for most in (0.45, 0.6):
        longer = torch.ones(len(Tissue))
        longer[int(_T.WHITE_MATTER)] += most * youth
        longer[[int(t) for t in (_T.GREY_MATTER, _T.DEEP_GREY, _T.PALLIDUM)]] += 0.4 * most * youth
        factors.append(longer)
    return factors[0], factors[1]


def parameters(field_t: float, rng: np.random.Generator | None = None, spread: float = 0.08) -> TissueParameters:
    """Tissue parameters at a field of 0.3 to 7 T; with `rng`, of one person: each value log-normal about its mean.

    `spread` is the standard deviation of the logarithm between people, of the size that the sources report. T2 hardly
    depends on the field below 1.5 T and is held there.
    """
    if not 0.3 <= field_t <= 7.5:
        raise ValueError(
            f"MagneticFieldStrength (0018,0087) is {field_t} T; tissue parameters are known from 0.3 to 7.5 T"
        )
    count = len(Tissue)

    def vary(values: list[float], scale: float) -> Tensor:
        factors = np.ones(count) if rng is None else np.exp(rng.normal(0.0, spread * scale, count))
        return torch.tensor(np.asarray(values) * factors, dtype=torch.float32)

    rows = [FACTS[tissue] for tissue in Tissue]
    fat = torch.tensor([row.fat_fraction for row in rows], dtype=torch.float32)
    t1_age, t2_age = (1.0, 1.0) if rng is None or rng.random() > _YOUNG_SHARE else _young(rng)
    return TissueParameters(
        t1_ms=vary([_at_field(row.t1_ms, field_t, row.t1_other_ms) for row in rows], 1.0) * t1_age,
        t2_ms=vary([_at_field(row.t2_ms, max(field_t, 1.5), row.t2_other_ms) for row in rows], 1.0) * t2_age,
        r2_prime_hz=vary([row.r2_prime_hz * field_t / 1.5 for row in rows], 2.0),
        proton_density=vary([row.proton_density for row in rows], 0.5),
        adc_um2_ms=vary([row.adc_um2_ms for row in rows], 1.0),
        anisotropy=vary([row.anisotropy for row in rows], 1.0).clamp(0.0, 0.95),
        fat_fraction=(fat * vary([1.0] * count, 1.0)).clamp(0.0, 0.99),
        transfer=vary([row.transfer for row in rows], 1.5).clamp(0.0, 0.6),
        gadolinium_mm=vary([row.gadolinium_mm for row in rows], 3.0),
        texture=vary([row.texture for row in rows], 3.0),
    )
