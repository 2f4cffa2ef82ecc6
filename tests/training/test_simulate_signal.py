"""Signal equations against limits that a person can work out."""

import math

import pytest
import torch

from training.simulate.physics import signal
from training.simulate.physics.tissues import FACTS, Tissue, parameters

FOREVER_MS = 1e6
T1 = torch.tensor([300.0, 900.0, 1500.0, 4300.0])
T2 = torch.tensor([60.0, 75.0, 95.0, 2000.0])


def inversion(ti_ms: float, *, tr_ms: float, te_ms: float = 0.0, train_ms: float = 0.0) -> torch.Tensor:
    return signal.inverted_spin_echo(
        T1, T2, tr_ms=tr_ms, te_ms=te_ms, inversion=signal.Inversion(ti_ms=ti_ms), train_ms=train_ms
    )


def test_spin_echo_with_endless_tr_and_no_te_is_the_proton_density() -> None:
    assert torch.allclose(signal.spin_echo(T1, T2, tr_ms=FOREVER_MS, te_ms=0.0), torch.ones(4))


def test_spin_echo_after_one_t1_and_one_t2_is_recovery_times_decay() -> None:
    value = signal.spin_echo(torch.tensor([1000.0]), torch.tensor([100.0]), tr_ms=1000.0, te_ms=100.0)
    assert value.item() == pytest.approx((1 - math.exp(-1)) * math.exp(-1))  # 0.2325


def test_spin_echo_train_takes_its_length_from_the_recovery() -> None:
    short = signal.spin_echo(T1, T2, tr_ms=800.0, te_ms=10.0)
    assert torch.allclose(signal.spin_echo(T1, T2, tr_ms=1000.0, te_ms=10.0, train_ms=200.0), short)


@pytest.mark.parametrize("index", range(4))
def test_inversion_recovery_is_null_at_ln_2_of_t1_where_tr_is_endless(index: int) -> None:
    assert inversion(math.log(2) * float(T1[index]), tr_ms=FOREVER_MS)[index].item() == pytest.approx(0, abs=1e-4)


def test_inversion_recovery_starts_at_minus_one_and_ends_at_the_spin_echo() -> None:
    assert torch.allclose(inversion(0.0, tr_ms=FOREVER_MS), -torch.ones(4))
    assert torch.allclose(inversion(FOREVER_MS, tr_ms=2 * FOREVER_MS), torch.ones(4))


@pytest.mark.parametrize("tr_ms", [6000.0, 9000.0, 11000.0])
def test_flair_nulls_fluid_and_leaves_brain(tr_ms: float) -> None:
    from training.simulate.protocols.draw import null_ms

    ti_ms = null_ms(4300.0, tr_ms - 200.0)
    signals = inversion(ti_ms, tr_ms=tr_ms, train_ms=200.0)
    assert signals[3].item() == pytest.approx(0, abs=1e-3)
    assert signals[1].item() > 0.5
    assert 1500 < ti_ms < 2800  # the range of every vendor's FLAIR


@pytest.mark.parametrize(("field_t", "low_ms", "high_ms"), [(1.5, 140.0, 190.0), (3.0, 190.0, 230.0)])
def test_stir_nulls_fat_at_the_inversion_times_in_use(field_t: float, low_ms: float, high_ms: float) -> None:
    from training.simulate.protocols.draw import null_ms

    fat = float(parameters(field_t).t1_ms[Tissue.FAT])
    assert low_ms < null_ms(fat, 4000.0) < high_ms


def test_spoiled_gradient_echo_peaks_at_the_ernst_angle() -> None:
    t1, star = torch.tensor([1000.0]), torch.tensor([40.0])
    ernst = signal.ernst_angle_deg(1000.0, 30.0)
    assert ernst == pytest.approx(13.96, abs=0.01)  # acos(exp(-0.03))

    def at(flip_deg: float) -> float:
        return signal.spoiled_gradient_echo(t1, star, tr_ms=30.0, te_ms=0.0, flip_deg=flip_deg).item()

    assert at(ernst) > at(ernst - 1)
    assert at(ernst) > at(ernst + 1)


def test_spoiled_gradient_echo_of_90_degrees_is_a_saturation_recovery() -> None:
    value = signal.spoiled_gradient_echo(T1, T2, tr_ms=500.0, te_ms=0.0, flip_deg=90.0)
    assert torch.allclose(value, 1 - torch.exp(-500.0 / T1))


def test_prepared_gradient_echo_of_vanishing_flips_is_an_inversion_recovery() -> None:
    cycle = signal.Cycle(length_ms=2300.0, inversion=signal.Inversion(ti_ms=900.0), echoes=160, echo_spacing_ms=7.0)
    flip_deg = 0.01
    value = signal.prepared_gradient_echo(T1, T2, te_ms=0.0, flip_deg=flip_deg, cycle=cycle)
    ideal = 1 - 2 * torch.exp(-900.0 / T1) / (1 + torch.exp(-2300.0 / T1))
    assert torch.allclose(value / math.sin(math.radians(flip_deg)), ideal, atol=1e-3)


def test_prepared_gradient_echo_equals_the_sequence_played_step_by_step() -> None:
    t1, flip_deg = 850.0, 9.0
    cycle = signal.Cycle(length_ms=2300.0, inversion=signal.Inversion(ti_ms=900.0), echoes=160, echo_spacing_ms=7.0)
    m, middle, cosine = 1.0, 0.0, math.cos(math.radians(flip_deg))

    def recover(value: float, time_ms: float) -> float:
        return 1 + (value - 1) * math.exp(-time_ms / t1)

    for _ in range(12):  # cycles until the steady state
        m = recover(-m, 900.0 - 80 * 7.0)
        for pulse in range(160):
            if pulse == 80:
                middle = m
            m = recover(m * cosine, 7.0)
        m = recover(m, 2300.0 - (900.0 - 80 * 7.0) - 160 * 7.0)
    value = signal.prepared_gradient_echo(
        torch.tensor([t1]), torch.tensor([1e9]), te_ms=0.0, flip_deg=flip_deg, cycle=cycle
    )
    assert value.item() == pytest.approx(math.sin(math.radians(flip_deg)) * middle, rel=1e-4)


def test_balanced_steady_state_with_short_tr_depends_on_the_ratio_of_t2_to_t1() -> None:
    t1, t2 = torch.tensor([1000.0]), torch.tensor([100.0])
    flip = math.degrees(math.acos((1000 / 100 - 1) / (1000 / 100 + 1)))  # the best flip angle
    value = signal.balanced_gradient_echo(t1, t2, tr_ms=0.01, te_ms=0.0, flip_deg=flip)
    assert value.item() == pytest.approx(0.5 * math.sqrt(100 / 1000), rel=1e-3)


def test_diffusion_of_one_um2_per_ms_at_b_1000_leaves_one_e_th() -> None:
    assert signal.diffusion(torch.tensor([1.0]), b_s_mm2=1000.0).item() == pytest.approx(math.exp(-1))


def test_fat_opposes_water_at_half_a_period_and_joins_it_after_a_whole_one() -> None:
    period_ms = 1e3 / (3.4 * 42.577 * 1.5)  # 4.6 ms at 1.5 T
    assert signal.fat_phasor(1.5, 0.0) == pytest.approx(1.0)
    assert signal.fat_phasor(1.5, period_ms / 2).real < -0.6
    assert signal.fat_phasor(1.5, period_ms).real > 0.5


def test_contrast_agent_shortens_by_relaxivity() -> None:
    shortened = signal.shortened(torch.tensor([1000.0]), relaxivity_per_mm_s=4.5, concentration_mm=torch.tensor([1.0]))
    assert shortened.item() == pytest.approx(1000 / 5.5)


def test_every_tissue_has_facts_and_t2_never_exceeds_t1() -> None:
    assert set(FACTS) == set(Tissue)
    for field_t in (0.55, 1.5, 3.0, 7.0):
        values = parameters(field_t)
        assert bool((values.t2_ms <= values.t1_ms).all())


def test_t1_grows_with_the_field_and_is_the_measured_one_where_it_was_measured() -> None:
    white = [float(parameters(t).t1_ms[Tissue.WHITE_MATTER]) for t in (0.55, 1.5, 3.0, 7.0)]
    assert white == pytest.approx([493, 646, 838, 1126])  # Campbell-Washburn 2019, Wright 2008
    assert white == sorted(white)


@pytest.mark.parametrize(
    ("tissue", "star_ms"), [(Tissue.GREY_MATTER, (84, 66, 33)), (Tissue.WHITE_MATTER, (66, 53, 27))]
)
def test_t2_star_of_brain_is_near_what_was_measured(tissue: Tissue, star_ms: tuple[int, ...]) -> None:
    for field_t, measured in zip((1.5, 3.0, 7.0), star_ms, strict=True):  # Peters 2007
        values = parameters(field_t)
        star = signal.t2_star(values.t2_ms[tissue], values.r2_prime_hz[tissue])
        assert float(star) == pytest.approx(measured, rel=0.15)


def test_a_field_that_no_magnet_has_is_refused() -> None:
    with pytest.raises(ValueError, match=r"MagneticFieldStrength \(0018,0087\) is 15.0 T"):
        parameters(15.0)
