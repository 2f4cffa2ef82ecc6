"""What bodies are drawn with: noise, boxes of a drawing, shapes that melt into each other."""

import numpy as np
import pytest
import torch

from training.simulate.people.canvas import Canvas
from training.simulate.people.drawing import melted, resampled
from training.simulate.people.part import Part
from training.simulate.physics.tissues import Tissue


@pytest.fixture
def canvas() -> Canvas:
    return Canvas((60.0, 50.0, 40.0), 1.0, np.random.default_rng(3), bend_mm=1.0)


def test_a_box_holds_what_lies_between_its_corners_and_paints_on_the_whole(canvas: Canvas) -> None:
    part = Part(canvas, (-10, -8, -6), (10, 8, 6))
    assert part.x.numel() < canvas.x.numel() / 4
    inside = (canvas.x.abs() < 10) & (canvas.y.abs() < 8) & (canvas.z.abs() < 6)
    assert int(part.cut(inside).sum()) == int(inside.sum())  # nothing of it is cut off
    part.paint(part.ellipsoid((0, 0, 0), (5, 5, 5)) < 1, Tissue.FAT)
    assert torch.equal(canvas.where(Tissue.FAT), canvas.ellipsoid((0, 0, 0), (5, 5, 5)) < 1)


def test_a_box_of_a_box_keeps_to_the_limit_it_was_given(canvas: Canvas) -> None:
    right = canvas.x > 0
    part = Part(canvas, (-20, -20, -15), (20, 20, 15), limit=right).near([(0.0, 0.0, 0.0)], 8.0)
    part.paint(torch.ones_like(part.tissue, dtype=torch.bool), Tissue.MUSCLE)
    painted = canvas.where(Tissue.MUSCLE)
    assert painted.any()
    assert not (painted & ~right).any()


def test_corners_beyond_the_canvas_give_a_box_and_no_error(canvas: Canvas) -> None:
    assert Part(canvas, (500, 500, 500), (600, 600, 600)).x.numel() == 1
    assert Part(canvas, (-500, -500, -500), (500, 500, 500)).x.shape == canvas.x.shape


def test_noise_is_other_noise_each_time_of_unit_variance_and_its_own_to_change(canvas: Canvas) -> None:
    first, second = canvas.noise("lumps"), canvas.noise("lumps")
    assert float(first.std()) == pytest.approx(1.0, abs=0.1)
    assert not torch.equal(first, second)
    kept = second.clone()
    first.zero_()
    assert float(canvas.noise("lumps").std()) == pytest.approx(1.0, abs=0.1)
    assert torch.equal(second, kept)
    assert canvas.piece("lumps", (7, 5, 3)).shape == (7, 5, 3)


def test_fat_between_the_bellies_of_muscle_is_thin(canvas: Canvas) -> None:
    canvas.muscles(torch.ones_like(canvas.tissue, dtype=torch.bool), fat_share=0.2)
    assert canvas.where(Tissue.MUSCLE).float().mean() > 0.6
    assert canvas.where(Tissue.FAT).any()


def test_shapes_melt_into_each_other_only_where_they_meet() -> None:
    a, b = torch.tensor([-3.0, 0.0, 9.0]), torch.tensor([9.0, 0.0, -3.0])
    assert melted(a, b, 4.0).tolist() == [-3.0, -1.0, -3.0]


def test_a_field_on_a_finer_grid_keeps_its_values() -> None:
    coarse = torch.arange(4.0)[:, None, None].expand(4, 4, 4)
    fine = resampled(coarse, (8, 8, 8))
    assert torch.allclose(fine[1:-1, 0, 0], torch.arange(0.25, 3.0, 0.5))
