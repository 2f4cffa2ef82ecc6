"""The measurement of training on a GPU, as far as a CPU can show that it is right."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.captions import Caption
from training.recipe import load_recipe

TINY = ["optimiser.steps=8", "optimiser.warmup_steps=1", "data.batch_size=8", "run.trackers=[]", "run.log_every=1000"]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import gpu_training

    return gpu_training


def test_flops_are_those_of_the_matrix_products(bench: Any) -> None:
    """A ViT of one layer, by hand: 2 x rows x columns x depth a product; backward is twice forward, and the patches
    need no gradient of the image."""
    width, tokens, patch, size, dim = 64, 5, 16, 32, 32
    vision = f"{{width: {width}, layers: 1, head_width: 64, patch_size: {patch}}}"
    overrides = [f"+model.image.overrides={vision}", f"model.image.size_px={size}", f"model.embed_dim={dim}"]
    text = ["model.metadata.width=64", "model.metadata.heads=1", "model.metadata.layers=1"]
    recipe = load_recipe("paper", [*overrides, *text])
    found = bench.flops_per_image(recipe, [Caption(plane="axial"), Caption(plane="coronal")])

    def layer(rows: int) -> int:  # queries, keys, values, output, and an MLP of four times the width; attention
        return 2 * rows * width * width * (3 + 1 + 8) + 2 * 2 * rows * rows * width

    stem = 2 * (tokens - 1) * width * 3 * patch * patch
    image = layer(tokens) + 2 * width * dim
    metadata = layer(98) + 2 * width * dim
    assert found == pytest.approx(2 * stem + 3 * (image + metadata), rel=0.01)


def test_peaks_go_by_the_name_of_the_device(bench: Any) -> None:
    assert bench.peak_flops("NVIDIA H200") == 989e12
    assert bench.peak_flops("NVIDIA H100 PCIe") == 756e12
    assert bench.peak_flops("NVIDIA H100 80GB HBM3") == 989e12
    assert bench.peak_flops("Intel(R) Xeon(R)") is None


def test_what_limits_training_is_said_in_words(bench: Any) -> None:
    device = bench.Device(busy=0.95, products=0.7)
    figures = bench.Figures(flops_per_image=1e11, ready_per_s=1000, whole_per_s=950, pipeline_per_s=4000, device=device)
    assert figures.utilisation(1000, 989e12) == pytest.approx(0.101, abs=0.001)
    assert "matrix products themselves, 70%" in bench.limit(figures)
    assert "input pipeline, which alone makes 300" in bench.limit(replace(figures, whole_per_s=290, pipeline_per_s=300))
    assert "the host" in bench.limit(replace(figures, device=replace(device, busy=0.5)))
    assert "memory traffic: 80%" in bench.limit(replace(figures, device=replace(device, products=0.2)))
    assert bench.is_product("sm90_xmma_gemm_bf16bf16_bf16f32")
    assert not bench.is_product("vectorized_elementwise_kernel")


def test_it_runs_on_a_cpu_without_a_peak(bench: Any) -> None:
    words = bench.section(load_recipe("tiny", TINY), torch.device("cpu"))
    assert "| batch on the device | " in words
    assert "no peak is known" in words
    assert "What limits it: " in words
