"""What simulated pixels show: tissues in the order physics gives, noise of its kind, the same pixels from a seed."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import dcmwrite

from inference.pixels import PixelSpec, prepare, read_slices
from inference.sources import Instance, find, load
from inference.stacks import choose, split
from training.simulate.dicom import classic
from training.simulate.people.anatomy import TEXTURE_LEVELS, Anatomy, dilated, eroded
from training.simulate.people.bodies import REGIONS, body, qa_object
from training.simulate.people.cast import Cast, CastSpec
from training.simulate.people.fields import field_shift_ppm, noise_volume
from training.simulate.people.head import drawn_head, head_from_labels, label_files, read_labels
from training.simulate.physics.magnetisation import tissue_signals
from training.simulate.physics.scan import Physics, Scan
from training.simulate.physics.tissues import Tissue, parameters
from training.simulate.protocols.catalogue import PROTOCOLS, by_name, scan
from training.simulate.protocols.draw import Draw
from training.simulate.scanner.encoding import Faults
from training.simulate.scanner.imaging import Quality, images
from training.simulate.scanner.planning import person, plan
from training.simulate.scanner.render import Person, View, sample
from training.simulate.series import simulate
from training.simulate.stream import SimulatedBatches, StreamSpec

SPACING_MM = 2.0
QUALITY = Quality(oversampling=1.0, sub_slices=4)


@pytest.fixture(scope="session")
def head() -> Anatomy:
    return drawn_head(np.random.default_rng(3), spacing_mm=SPACING_MM)


@pytest.fixture(scope="session")
def patient(head: Anatomy) -> Person:
    return Person(anatomy=head, tissue=parameters(3.0))


def series_of(name: str, region: str = "head", **physics: object) -> Scan:
    """A series of the family in a quiet scanner with voxels of 2 mm."""
    rng = np.random.default_rng(5)
    one = scan(by_name(name), Draw(rng=rng, vendor="SIEMENS", model="Skyra", field_t=3.0, region=region, plane="axial"))
    ideal = {"snr": 400.0, "coils": 1, "zero_fill": 1.0, "blur_ms": 0.0, "partial_fourier": 1.0}
    sampling = replace(one.sampling, voxel_mm=(2.0, 2.0), thickness_mm=2.0, **ideal)
    return replace(one, sampling=sampling, physics=replace(one.physics, **physics))


def view_of(patient: Person) -> View:
    return View(
        centre_mm=patient.anatomy.centre_mm, right=(-1, 0, 0), down=(0, -1, 0), normal=(0, 0, 1), fov_mm=(220.0, 200.0),
        offsets_mm=(-8.0, 0.0, 10.0, 18.0), thickness_mm=2.0,
    )  # fmt: skip


def shares(patient: Person, tissue: Tissue, shape: tuple[int, int]) -> torch.Tensor:
    """How much of each voxel is this tissue."""
    table = torch.zeros(len(Tissue) * TEXTURE_LEVELS, 4)
    table[int(tissue) * TEXTURE_LEVELS : (int(tissue) + 1) * TEXTURE_LEVELS, 0] = 1.0
    generator = torch.Generator().manual_seed(0)
    return sample(patient, view_of(patient), table, shape, sub_slices=4, generator=generator).water


def mean_in(volume: torch.Tensor, patient: Person, tissue: Tissue) -> float:
    inside = shares(patient, tissue, (volume.shape[1], volume.shape[2])) > 0.95
    assert int(inside.sum()) > 20
    return float(volume[inside].median())


def imaged(name: str, patient: Person, faults: Faults | None = None, **physics: object) -> torch.Tensor:
    one = series_of(name, **physics)
    generator = torch.Generator().manual_seed(1)
    return images(patient, view_of(patient), one, faults or Faults(), QUALITY, generator)


@pytest.mark.parametrize(
    ("name", "brightest_first"),
    [
        ("t1-mprage", (Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.CSF)),
        ("t1-se", (Tissue.FAT, Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.CSF)),
        ("t1-flair", (Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.CSF)),
        ("t2-tse", (Tissue.CSF, Tissue.GREY_MATTER, Tissue.WHITE_MATTER)),
        ("t2-flair", (Tissue.GREY_MATTER, Tissue.WHITE_MATTER, Tissue.CSF)),
        ("pd-tse", (Tissue.GREY_MATTER, Tissue.WHITE_MATTER)),
        ("stir", (Tissue.GREY_MATTER, Tissue.WHITE_MATTER, Tissue.FAT)),
        ("t2star-gre", (Tissue.CSF, Tissue.GREY_MATTER, Tissue.PALLIDUM)),
        ("dwi-b0", (Tissue.CSF, Tissue.GREY_MATTER, Tissue.WHITE_MATTER)),
        ("dwi-trace", (Tissue.GREY_MATTER, Tissue.CSF)),
        ("adc", (Tissue.CSF, Tissue.GREY_MATTER)),
        ("t1-map", (Tissue.CSF, Tissue.GREY_MATTER, Tissue.WHITE_MATTER)),
        ("fa-map", (Tissue.WHITE_MATTER, Tissue.GREY_MATTER)),
    ],
)  # fmt: skip
def test_tissues_are_as_bright_as_the_contrast_says(
    name: str, brightest_first: tuple[Tissue, ...], patient: Person
) -> None:
    volume = imaged(name, patient)
    means = [mean_in(volume, patient, tissue) for tissue in brightest_first]
    assert means == sorted(means, reverse=True), dict(zip(brightest_first, means, strict=True))
    assert means[0] > 1.05 * means[-1]


def test_an_adc_map_holds_the_diffusivity_of_fluid_and_brain(patient: Person) -> None:
    volume = imaged("adc", patient, b_s_mm2=1000.0)
    assert mean_in(volume, patient, Tissue.CSF) == pytest.approx(3.0, rel=0.1)
    assert mean_in(volume, patient, Tissue.WHITE_MATTER) == pytest.approx(0.72, rel=0.1)


def test_contrast_agent_brightens_veins_and_not_brain(patient: Person) -> None:
    plain, enhanced = (imaged("t1-mprage", patient, agent=agent, inflow=0.0) for agent in (False, True))
    marrow = [mean_in(volume, patient, Tissue.YELLOW_MARROW) for volume in (plain, enhanced)]
    brain = [mean_in(volume, patient, Tissue.WHITE_MATTER) for volume in (plain, enhanced)]
    meninges = [
        float(volume[shares(patient, Tissue.MENINGES, tuple(volume.shape[1:])) > 0.6].mean())
        for volume in (plain, enhanced)
    ]
    assert marrow[1] == pytest.approx(marrow[0], rel=0.1)
    assert brain[1] < 1.1 * brain[0]
    assert meninges[1] > 1.3 * meninges[0]


def test_fat_saturation_takes_the_fat_and_leaves_it_where_it_fails(patient: Person) -> None:
    without, suppressed = (
        mean_in(imaged("t1-se", patient, fat=fat), patient, Tissue.FAT) for fat in ("none", "saturation")
    )
    failed = mean_in(imaged("t1-se", patient, Faults(fat_failure=0.9), fat="saturation"), patient, Tissue.FAT)
    assert suppressed < 0.35 * without
    assert failed > 0.7 * without


def test_opposed_phase_darkens_what_is_half_fat(patient: Person) -> None:
    red = Person(anatomy=replace_tissue(patient.anatomy, Tissue.WHITE_MATTER, Tissue.RED_MARROW), tissue=patient.tissue)
    in_phase, opposed = (mean_in(imaged("t1-fl2d", red, te_ms=te), red, Tissue.RED_MARROW) for te in (2.30, 1.15))
    assert opposed < 0.5 * in_phase


def replace_tissue(anatomy: Anatomy, old: Tissue, new: Tissue) -> Anatomy:
    codes = anatomy.codes.clone()
    where = codes // TEXTURE_LEVELS == int(old)
    codes[where] += (int(new) - int(old)) * TEXTURE_LEVELS
    return replace(anatomy, codes=codes)


@pytest.mark.parametrize("coils", [1, 8])
def test_the_background_has_the_noise_of_its_coils(coils: int, patient: Person) -> None:
    one = series_of("t2-tse")
    one = replace(one, sampling=replace(one.sampling, snr=10.0, coils=coils))
    volume = images(patient, view_of(patient), one, Faults(), QUALITY, torch.Generator().manual_seed(2))
    air = volume[:, :12, :12]
    ratio = float(air.mean() / air.std())
    # Rician: sqrt(pi/2) / sqrt(2 - pi/2) = 1.91; eight coils: a chi distribution of 16 degrees of freedom.
    expected = (
        1.913
        if coils == 1
        else math.sqrt(2) * math.gamma(8.5) / math.gamma(8) / math.sqrt(16 - 2 * (math.gamma(8.5) / math.gamma(8)) ** 2)
    )
    assert ratio == pytest.approx(expected, rel=0.1)


def test_a_slice_that_reaches_into_fluid_by_a_quarter_shows_a_quarter_of_it() -> None:
    codes = torch.zeros(16, 16, 16, dtype=torch.int16)
    codes[..., :8], codes[..., 8:] = int(Tissue.FAT) * TEXTURE_LEVELS, int(Tissue.CSF) * TEXTURE_LEVELS
    block = Anatomy(
        name="block", region="head", codes=codes, spacing_mm=1.0, field_ppm=torch.zeros(4, 4, 4),
        fibre=torch.zeros(4, 4, 4), centre_mm=(8.0, 8.0, 8.0), extent_mm=(16.0, 16.0, 16.0),
    )  # fmt: skip
    view = View(
        centre_mm=(8, 8, 8),
        right=(1, 0, 0),
        down=(0, 1, 0),
        normal=(0, 0, 1),
        fov_mm=(8, 8),
        offsets_mm=(-2.0,),
        thickness_mm=8.0,
    )
    table = torch.zeros(len(Tissue) * TEXTURE_LEVELS, 4)
    table[int(Tissue.CSF) * TEXTURE_LEVELS, 0] = 1.0
    block_person = Person(anatomy=block, tissue=parameters(3.0))
    picture = sample(block_person, view, table, (16, 16), sub_slices=64, generator=torch.Generator().manual_seed(0))
    assert float(picture.water.mean()) == pytest.approx(0.25, abs=0.02)


def test_without_relaxation_water_and_fat_add_up_to_the_proton_density() -> None:
    tissue = parameters(3.0)
    physics = Physics(kind="spin-echo", field_t=3.0, te_ms=0.0, tr_ms=1e7)
    water, fat = tissue_signals(physics, tissue)
    still = [int(t) for t in Tissue if t not in (Tissue.AIR, Tissue.CORTICAL_BONE)]
    assert torch.allclose((water + fat)[still], tissue.proton_density[still], rtol=1e-3)
    assert float(fat[Tissue.LIVER] / water[Tissue.LIVER]) == pytest.approx(0.05 / 0.95, rel=1e-3)


def test_the_field_round_a_sphere_is_that_of_a_dipole() -> None:
    axis = torch.arange(96) - 47.5
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    sphere = torch.where((x**2 + y**2 + z**2).sqrt() < 10, 9.0, 0.0)
    shift = field_shift_ppm(sphere)
    # Outside: chi/3 (R/r)^3 (3 cos^2 - 1); 20 voxels along the field 0.75 ppm, across it -0.375 ppm; inside 0.
    assert float(shift[47, 47, 47 + 20]) == pytest.approx(9 / 3 * (10 / 19.5) ** 3 * 2, rel=0.12)
    assert float(shift[47 + 20, 47, 47]) == pytest.approx(-9 / 3 * (10 / 19.5) ** 3, rel=0.15)
    assert float(shift[47, 47, 47]) == pytest.approx(0, abs=0.1)


def test_noise_has_unit_variance_and_dilation_grows_a_cube() -> None:
    assert float(noise_volume((31, 40, 22), np.random.default_rng(0), exponent=2.0).std()) == pytest.approx(1.0)
    point = torch.zeros(11, 11, 11, dtype=torch.bool)
    point[5, 5, 5] = True
    assert int(dilated(point, 3).sum()) == 7**3
    assert torch.equal(eroded(dilated(point, 3), 3), point)


def test_the_same_seed_gives_the_same_series_and_another_one_does_not(head: Anatomy) -> None:
    def volume(seed: int) -> torch.Tensor:
        return simulate(person(head, 3.0, np.random.default_rng(1)), series_of("t2-tse"), seed=seed, slices=2).volume

    assert torch.equal(volume(4), volume(4))
    assert not torch.equal(volume(4), volume(5))


@pytest.mark.parametrize("protocol", [pytest.param(p, id=p.name) for p in PROTOCOLS])
def test_every_family_makes_finite_images_that_vary(protocol: object, patient: Person) -> None:
    name = str(protocol.name)
    region = by_name(name).regions[0]
    one = series_of(name, region)
    view = plan(patient.anatomy, replace(one, region="head"), np.array([0.0]), np.random.default_rng(1))
    volume = images(
        patient,
        view,
        one,
        Faults(ghost=0.02, motion_mm=0.3),
        Quality(largest_matrix=64, sub_slices=2),
        torch.Generator(),
    )
    assert bool(torch.isfinite(volume).all())
    assert float(volume.std()) > 0


SMALL = StreamSpec(size_px=48, series=3, slices=2, cast=CastSpec(heads=1, bodies=1, lifetime_steps=3), sub_slices=2)


@pytest.fixture(scope="session")
def stream() -> SimulatedBatches:
    return SimulatedBatches(7, SMALL, labels=None, drawn_only=True)


def test_a_step_is_the_same_whatever_was_asked_before(stream: SimulatedBatches) -> None:
    first, again = stream.batch(1), SimulatedBatches(7, SMALL, labels=None, drawn_only=True)
    iterator = again.steps(0)
    next(iterator)
    second = next(iterator)
    assert torch.equal(first.images, second.images)
    assert first.captions == second.captions
    assert first.rows == second.rows


def test_a_batch_is_as_the_reader_prepares_images(stream: SimulatedBatches) -> None:
    batch = stream.batch(0)
    assert batch.images.shape == (6, 1, 48, 48)
    assert batch.images.dtype == torch.float32
    assert 0 <= float(batch.images.min()) < float(batch.images.max()) <= 1
    assert len(batch.captions) == len(batch.rows) == 6
    assert [row.series for row in batch.rows] == [0, 0, 1, 1, 2, 2]


def test_no_label_is_true_of_a_test_object() -> None:
    spec = replace(SMALL, object_share=1.0, series=2)
    batch = SimulatedBatches(7, spec, labels=None, drawn_only=True).batch(0)
    assert {(row.contrast, row.region) for row in batch.rows} == {(None, "test-object")}


def test_a_place_in_the_cast_is_filled_anew_after_its_life() -> None:
    cast = Cast(
        seed=1,
        labels=[],
        spec=CastSpec(heads=1, bodies=1, lifetime_steps=2),
        device=torch.device("cpu"),
        drawn_only=True,
    )
    first = cast.head(0, 0)
    assert cast.head(0, 1) is first
    later = cast.head(0, 2)
    assert not torch.equal(first.codes, later.codes) if first.codes.shape == later.codes.shape else True
    assert torch.equal(cast.head(0, 0).codes, first.codes)


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_draws_a_body_with_fat_and_more(region: str) -> None:
    anatomy = body(region, np.random.default_rng(2), coarser=1.6)
    found = set(np.unique(anatomy.tissue.numpy()).tolist())
    assert {int(Tissue.FAT), int(Tissue.MUSCLE)} <= found
    assert int(Tissue.AIR) in found or region == "cord"  # a crop on the cord need not reach the airway
    assert len(found) >= 8
    assert anatomy.region == region


def test_a_prostate_is_drawn_with_both_zones_a_rectum_and_the_pubis() -> None:
    found = np.unique(body("prostate", np.random.default_rng(5), coarser=1.6).tissue.numpy()).tolist()
    parts = (Tissue.PERIPHERAL_ZONE, Tissue.TRANSITION_ZONE, Tissue.BOWEL_WALL, Tissue.CORTICAL_BONE, Tissue.URINE)
    assert {int(part) for part in parts} <= set(found)


def test_a_test_object_has_a_region_that_no_protocol_has() -> None:
    assert qa_object(np.random.default_rng(0)).region not in {region for p in PROTOCOLS for region in p.regions}


SPEC = PixelSpec(size_px=64)


def test_writing_and_reading_a_series_prepares_the_same_pixels(head: Anatomy, tmp_path: Path) -> None:
    series = simulate(person(head, 3.0, np.random.default_rng(1)), series_of("t2-tse"), seed=2, slices=3)
    instances = classic.datasets(series, study="parity", number=1)
    for index, dataset in enumerate(instances):
        dcmwrite(tmp_path / f"{index}.dcm", dataset, enforce_file_format=True)
    stored, _ = classic.stored_values(series)
    loaded = [one for one in map(load, find([tmp_path])) if isinstance(one, Instance)]
    stack = split([header for instance in loaded for header in instance.headers])[0]
    slices = read_slices(choose(stack, 3), {instance.sop_instance_uid: instance for instance in loaded})
    assert np.array_equal(np.stack(slices), stored)
    spacing = tuple(float(s) for s in instances[0].PixelSpacing)
    read = prepare(slices, SPEC, pixel_spacing_mm=(spacing[0], spacing[1]))
    rows, columns = series.volume.shape[1:]
    simulated = prepare(
        list(series.volume.numpy()),
        SPEC,
        pixel_spacing_mm=(series.view.fov_mm[0] / rows, series.view.fov_mm[1] / columns),
    )
    assert np.abs(read - simulated).max() < 0.02  # stored values are whole numbers


@pytest.mark.shared_data
def test_a_published_label_map_becomes_a_head(shared: Path) -> None:
    source = read_labels(label_files(shared / "data" / "head-labels")[0])
    anatomy = head_from_labels(source, np.random.default_rng(0))
    found = {Tissue(number) for number in np.unique(anatomy.tissue.numpy()).tolist()}
    assert {Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.CSF, Tissue.FAT, Tissue.CORTICAL_BONE, Tissue.VEIN} <= found
    white = float((anatomy.tissue == int(Tissue.WHITE_MATTER)).sum()) * source.spacing_mm**3 / 1000
    assert 300 < white < 700  # ml, cerebellum's included


def test_a_folder_without_label_maps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no label maps"):
        label_files(tmp_path)
