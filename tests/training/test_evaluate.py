"""Measuring a model: probes, parameter errors, cases, and the report as a whole."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inference.captions import Caption
from training.data.rows import SliceRow
from training.evaluate.parameters import parameter_errors
from training.evaluate.probe import probe
from training.evaluate.report import Options, Rows, measure, table
from training.evaluate.traces import Trace, page
from training.models.build import build
from training.models.inputs import field_table
from training.recipe import Recipe
from training.train.checkpoint import Trained

T1 = Caption(contrast="T1", plane="axial", EchoTime_ms=10.0, RepetitionTime_ms=500.0, MagneticFieldStrength_t=1.494)
T2 = Caption(contrast="T2", plane="axial", EchoTime_ms=100.0, RepetitionTime_ms=4000.0, MagneticFieldStrength_t=3.0)


def test_parameter_errors_by_hand() -> None:
    truth = [T1, T1, T2, replace(T2, InversionTime_ms=2500.0)]
    retrieved = [replace(T1, EchoTime_ms=10.5), T2, T2, T2]
    found = parameter_errors(truth, retrieved)
    echo = found["EchoTime_ms"]  # errors 0.5, 90, 0, 0
    assert (echo.both, echo.only_one, echo.median_absolute, echo.mean_absolute) == (4, 0, 0.25, 22.625)
    assert echo.within_tenth == 0.75
    assert (found["InversionTime_ms"].both, found["InversionTime_ms"].only_one) == (0, 1)
    assert found["InversionTime_ms"].median_absolute is None


def test_probes_see_what_is_there_and_no_more() -> None:
    random = np.random.default_rng(0)
    captions = [T1, T2] * 60
    embeddings = random.normal(size=(120, 8))
    embeddings[::2, 0] += 6  # the first axis tells T1 from T2, nothing tells the plane
    found = probe(embeddings[:80], captions[:80], embeddings[80:], captions[80:])
    contrast, strength = found["contrast"], found["field_strength"]
    assert contrast is not None
    assert strength is not None  # 1.494 and 3 T
    assert (contrast.train, contrast.test, contrast.classes, contrast.majority) == (80, 40, 2, 0.5)
    assert contrast.linear > 0.95
    assert contrast.neighbours_balanced > 0.85
    assert found["plane"] is None  # one plane only
    assert found["vendor"] is None  # nobody says
    shuffled = probe(embeddings[:80], list(random.permutation(captions[:80])), embeddings[80:], captions[80:])  # type: ignore[arg-type]
    assert shuffled["contrast"] is not None
    assert shuffled["contrast"].linear < 0.8


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    folder = tmp_path_factory.mktemp("slices")
    rows = []
    for number in range(12):
        label = number % 3 % 2
        caption = replace(T2 if label else T1, SeriesDescription=f"<b>series {number // 3}</b>")
        Image.fromarray(np.full((32, 32), 40 + 90 * label + number, np.uint8)).save(folder / f"{number}.png")
        rows.append(
            SliceRow(
                filepath=f"{number}.png",
                text="",
                label=label,
                volume=f"v{number // 3}{label}",
                group="p",
                caption=caption,
            )
        )
    return Rows(rows=rows, folder=folder)


@pytest.fixture(scope="module")
def trained(toy_recipe: Callable[..., Recipe]) -> Trained:
    recipe = toy_recipe("optimiser.steps=3")
    built = build(recipe.model, field_table([T1, T2], recipe.model.metadata.fields, min_count=1))
    built.model.eval().requires_grad_(False)
    return Trained(built=built, recipe=recipe, step=0)


def test_a_report_has_every_part(slices: Rows, trained: Trained) -> None:
    report, traces = measure(trained, slices, slices, torch.device("cpu"), Options(distance=True, traces=3))
    assert (report.slices, report.volumes, report.captions) == (12, 8, 8)
    # the description makes captions differ; without it two are left
    assert report.with_description.caption_to_image.queries == 8
    assert report.without_description.caption_to_image.queries == 2
    assert report.without_description.volume_mean.queries == 8
    assert report.without_description.parameters is not None
    assert report.probes["contrast"] is not None
    document = report.to_json()
    assert document["without_description"]["image_to_caption"]["recall"][1] >= 0
    words = table(report)
    assert "12 slices of 8 volumes, 8 captions" in words
    assert "contrast: linear probe" in words
    echo = report.without_description.parameters["EchoTime_ms"]
    assert f"| EchoTime, without | 12 | {echo.median_absolute:.3g} ms |" in words
    assert "| InversionTime, without | 0 | – | – | – | 0 |" in words
    unasked, _ = measure(trained, slices, None, torch.device("cpu"))
    assert "retrieved caption" not in table(unasked)
    assert len(traces) == 3
    assert traces[0].rank >= traces[-1].rank


def test_cases_are_one_page_that_loads_nothing_and_shows_text_as_text(slices: Rows, trained: Trained) -> None:
    _, traces = measure(trained, slices, None, torch.device("cpu"), Options(traces=8))
    html = page(traces)
    assert html.count("data:image/png;base64,") == 8
    assert "http" not in html.replace("http-equiv", "")
    assert "<b>series" not in html
    assert "&lt;b&gt;series" in html


def test_a_case_names_what_differs(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    case = Trace(picture=tmp_path / "a.png", name="a", truth=T1, rank=2, retrieved=[(0.9, False, T2), (0.8, True, T1)])
    html = page([case])
    assert "contrast T2" in html
    assert "EchoTime_ms 100" in html
    assert "plane axial, MagneticFieldStrength_t 1.494" in html  # the truth in full
    assert "<td>0.800</td><td>the same</td>" in html


def test_an_unreadable_picture_is_named(slices: Rows, trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "0.png").write_text("no picture")
    with pytest.raises(Exception, match=r"0\.png: cannot be read as an image"):
        measure(trained, Rows(rows=slices.rows[:1], folder=tmp_path), None, torch.device("cpu"))
