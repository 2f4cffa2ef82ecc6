"""Training: it learns, it resumes exactly, micro-batches and processes change nothing, bad starts are refused."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip_train.scheduler
import pytest
import torch
from torch import Tensor

from training.data.targets import targets
from training.errors import DivergedError, RefusedError
from training.models.build import build
from training.models.inputs import field_table
from training.recipe import Recipe
from training.train import checkpoint, gradient_cache
from training.train.average import WeightAverage
from training.train.loop import LAST, train
from training.train.objective import LOSSES, objective
from training.train.saved import read_saved
from training.train.schedule import cosine

CPU = torch.device("cpu")
ToyRecipe = Callable[..., Recipe]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Convolutions of this size are slower on two cores than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(folder: Path) -> dict[str, Tensor]:
    stored = checkpoint.load(folder / LAST)
    return {**stored.model, **{f"average.{name}": value for name, value in stored.average.items()}}


def test_it_learns_and_says_so(tmp_path: Path, toy_recipe: ToyRecipe, stripes: Any) -> None:
    recipe = toy_recipe("optimiser.steps=60", "optimiser.learning_rate=5e-3", "optimiser.average_decay=0.5")
    scores: list[float] = []

    def evaluate(built: Any) -> dict[str, float]:
        batch = next(stripes(30).steps(9999))
        with torch.no_grad():
            images = built.model.encode_images(batch.images)
            captions = built.model.encode_metadata(built.inputs.encode(stripes().captions()))
        scores.append(((images @ captions.T).argmax(dim=1) == batch.labels).float().mean().item())
        return {"accuracy": scores[-1]}

    trained = train(recipe, stripes(), tmp_path, device=CPU, evaluate=evaluate)
    assert scores == [pytest.approx(1.0)]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1] == {"step": 60, "accuracy": 1.0}
    assert lines[0]["loss"] > lines[59]["loss"]
    assert trained.step == 60
    again = checkpoint.load_trained(tmp_path / LAST, CPU).built.model.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in trained.built.model.state_dict().items())


def numbers(run: Path) -> list[dict[str, float]]:
    """What a run wrote down, but for how quick it was."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "images_per_s"} for line in lines]


@pytest.mark.parametrize("extra", [(), ("model.image.drop_path=0.5", "run.micro_batch=4", "data.dropout.field=0.5")])
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    tmp_path: Path, toy_recipe: ToyRecipe, stripes: Any, extra: tuple[str, ...]
) -> None:
    recipe = toy_recipe("optimiser.steps=6", "run.save_every=3", *extra)
    train(recipe, stripes(), tmp_path / "whole", device=CPU)

    class PowerCutError(Exception):
        pass

    class Interrupted(stripes):  # type: ignore[misc]
        def steps(self, first: int = 0) -> Any:
            for step, batch in enumerate(super().steps(first), start=first):
                if step == 5:  # steps 0 to 4 are done, 3 of them saved
                    raise PowerCutError
                yield batch

    with pytest.raises(PowerCutError):
        train(recipe, Interrupted(), tmp_path / "cut", device=CPU)
    assert checkpoint.load(tmp_path / "cut" / LAST).step == 3
    source = stripes()
    train(recipe, source, tmp_path / "cut", device=CPU)
    assert source.asked[0] == 3
    assert numbers(tmp_path / "cut") == numbers(tmp_path / "whole"), "those that were lost with the power are not kept"
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_seed_decides(tmp_path: Path, toy_recipe: ToyRecipe, stripes: Any) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(toy_recipe("optimiser.steps=3", f"seed={seed}"), stripes(), tmp_path / name, device=CPU)
    first, same, other = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_finished_run_is_not_run_again(tmp_path: Path, toy_recipe: ToyRecipe, stripes: Any) -> None:
    recipe = toy_recipe("optimiser.steps=3")
    train(recipe, stripes(), tmp_path, device=CPU)
    source = stripes()
    train(recipe, source, tmp_path, device=CPU)
    assert source.asked == []


def gradients(recipe: Recipe, stripes: Any, loss: str, micro_batch: int) -> tuple[float, list[Tensor]]:
    torch.manual_seed(0)
    built = build(recipe.model, field_table(stripes().captions(), recipe.model.metadata.fields, min_count=1))
    batch = next(stripes().steps(0))
    spec = recipe.loss.__class__(name=loss)  # type: ignore[arg-type]
    value = gradient_cache.backward(
        built.model,
        gradient_cache.Samples(batch.images, built.inputs.encode(batch.captions)),
        objective(built.model, targets(batch.captions, batch.labels), spec),
        micro_batch=micro_batch,
        seed=0,
        autocast=nullcontext,
    )
    return value.item(), [p.grad for p in built.model.parameters() if p.grad is not None]


@pytest.mark.parametrize("loss", list(LOSSES))
def test_micro_batches_give_the_gradient_of_the_whole_batch(loss: str, toy_recipe: ToyRecipe, stripes: Any) -> None:
    recipe = toy_recipe("+model.init_bias=-5.0") if loss == "siglip" else toy_recipe()
    whole, expected = gradients(recipe, stripes, loss, 12)
    for micro_batch in (4, 5):
        value, found = gradients(recipe, stripes, loss, micro_batch)
        assert value == pytest.approx(whole, rel=1e-5)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_both_passes_of_a_micro_batch_draw_the_same_numbers(toy_recipe: ToyRecipe, stripes: Any) -> None:
    recipe = toy_recipe("model.image.drop_path=0.5")
    built = build(recipe.model, field_table(stripes().captions(), recipe.model.metadata.fields, min_count=1))
    made: list[Tensor] = []
    built.model.image.register_forward_hook(lambda _module, _inputs, output: made.append(output.detach()))
    batch = next(stripes().steps(0))
    samples = gradient_cache.Samples(batch.images, built.inputs.encode(batch.captions))
    loss = objective(built.model, targets(batch.captions, batch.labels), recipe.loss)
    gradient_cache.backward(built.model.train(), samples, loss, micro_batch=6, seed=3, autocast=nullcontext)
    first, second, first_again, second_again = made
    assert torch.equal(first, first_again)
    assert torch.equal(second, second_again)


def batch_norm(recipe: Recipe) -> Recipe:
    """With a network that normalises by batch."""
    image = replace(recipe.model.image, name="test_efficientnet", overrides={})
    return replace(recipe, model=replace(recipe.model, image=image))


def test_a_batch_that_is_normalised_as_a_whole_is_not_divided(
    tmp_path: Path, toy_recipe: ToyRecipe, stripes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = stripes()
    with pytest.raises(RefusedError, match=r"run\.micro_batch is 4; must be 0 or at least data\.batch_size \(12\)"):
        train(batch_norm(toy_recipe("run.micro_batch=4")), source, tmp_path, device=CPU)
    monkeypatch.setattr("training.train.loop.how_many", lambda: 2)
    with pytest.raises(RefusedError, match="2 processes share a batch; must be 1: test_efficientnet has batch norm"):
        train(batch_norm(toy_recipe()), source, tmp_path, device=CPU)
    assert source.asked == []
    monkeypatch.undo()
    for micro_batch in (0, 12):
        recipe = batch_norm(toy_recipe("optimiser.steps=3", f"run.micro_batch={micro_batch}"))
        train(recipe, source, tmp_path / str(micro_batch), device=CPU)


def test_bf16_runs_and_keeps_weights_in_fp32(tmp_path: Path, toy_recipe: ToyRecipe, stripes: Any) -> None:
    train(toy_recipe("optimiser.steps=3", "run.precision=bf16"), stripes(), tmp_path, device=CPU)
    assert {value.dtype for value in weights(tmp_path).values()} == {torch.float32}


def test_schedule_equals_open_clips() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.AdamW([parameter])
    theirs = open_clip_train.scheduler.cosine_lr(optimiser, 0.3, 10, 50)
    for step in range(50):
        assert cosine(step, base=0.3, warmup_steps=10, steps=50) == pytest.approx(theirs(step))


def test_average_by_hand() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.0)
    averaged = WeightAverage(layer, 0.5)
    layer.weight.data.fill_(1.0)
    averaged.update(layer, 0)  # decay min(0.5, 1/10): 0.1 x 0 + 0.9 x 1
    assert averaged.model.weight.item() == pytest.approx(0.9)
    averaged.update(layer, 1000)  # decay 0.5
    assert averaged.model.weight.item() == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("optimiser.learning_rate=1e-5", "optimiser.learning_rate was 0.002 and is 1e-05"),
        ("model.embed_dim=8", "model.embed_dim was 16 and is 8"),
        ("seed=5", "seed was 0 and is 5"),
        ("~model.image.overrides.patch_size", r"model\.image\.overrides\.patch_size was 2 and is not set"),
        ("+model.image.overrides.ls_init_value=0.1", r"model\.image\.overrides\.ls_init_value was not set and is 0\.1"),
    ],
)
def test_another_recipe_is_refused_before_it_costs_time(
    tmp_path: Path, toy_recipe: ToyRecipe, stripes: Any, change: str, words: str
) -> None:
    train(toy_recipe("optimiser.steps=3"), stripes(), tmp_path, device=CPU)
    source = stripes()
    with pytest.raises(RefusedError, match=words):
        train(toy_recipe("optimiser.steps=3", change), source, tmp_path, device=CPU)
    assert source.asked == []


def test_what_is_no_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("not a checkpoint")
    (tmp_path / "words.pt").write_text("hello world\n")  # "h" asks torch's unpickler for what it has not seen
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    torch.save({"format": checkpoint.FORMAT, "recipe": {}}, tmp_path / "older.pt")
    for name in ("text.pt", "words.pt", "other.pt", "absent.pt"):
        with pytest.raises(RefusedError, match=name):
            checkpoint.load(tmp_path / name)
    with pytest.raises(RefusedError, match=r"older\.pt: has no 'fields'"):
        checkpoint.load(tmp_path / "older.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_checkpoint_is_one_line(tmp_path: Path, zipped: bool) -> None:
    torch.save({"weights": torch.arange(9.0)}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    assert read_saved(tmp_path / "a.pt")["weights"].sum() == 36
    whole = (tmp_path / "a.pt").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        with pytest.raises(RefusedError, match=r"cut\.pt: ") as refused:
            read_saved(tmp_path / "cut.pt")
        assert "\n" not in str(refused.value)


def test_weights_of_another_architecture_are_refused_by_name(
    tmp_path: Path, toy_recipe: ToyRecipe, stripes: Any
) -> None:
    def built(recipe: Recipe) -> Any:
        return build(recipe.model, field_table(stripes().captions(), recipe.model.metadata.fields, min_count=1))

    small, large = built(toy_recipe()), built(toy_recipe("model.embed_dim=24"))
    with pytest.raises(RefusedError, match=r"a\.pt: is of another architecture: image\.head\.proj\.weight is \(24"):
        checkpoint.load_weights(small, large.model.state_dict(), Path("a.pt"))


def test_tensorboard_gets_the_numbers(tmp_path: Path, toy_recipe: ToyRecipe, stripes: Any) -> None:
    train(toy_recipe("optimiser.steps=3", "run.trackers=[tensorboard]"), stripes(), tmp_path, device=CPU)
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"gradient_norm" in events.read_bytes()


def test_an_absent_tracker_is_refused_with_the_way_out(
    tmp_path: Path, toy_recipe: ToyRecipe, stripes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(RefusedError, match="pip install wandb"):
        train(toy_recipe("optimiser.steps=3", "run.trackers=[wandb]"), stripes(), tmp_path, device=CPU)


def test_divergence_stops_the_run(tmp_path: Path, toy_recipe: ToyRecipe, stripes: Any) -> None:
    class Broken(stripes):  # type: ignore[misc]
        def steps(self, first: int = 0) -> Any:
            for batch in super().steps(first):
                yield batch._replace(images=batch.images * float("nan"))

    with pytest.raises(DivergedError, match="not finite"):
        train(toy_recipe("optimiser.steps=3"), Broken(), tmp_path, device=CPU)


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """torchrun with gloo: gathered features, summed gradients, the same weights everywhere."""
    script = Path(__file__).with_name("two_processes.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    alone = [sys.executable, str(script), str(tmp_path / "one")]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for command in (alone, [*torchrun, str(script), str(tmp_path / "two")]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two, other = (torch.load(tmp_path / name, weights_only=True) for name in ("one-0.pt", "two-0.pt", "two-1.pt"))
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
    torch.testing.assert_close(two["gradients"], one["gradients"], rtol=1e-3, atol=1e-6)
    assert all(torch.equal(first, second) for first, second in zip(two["weights"], other["weights"], strict=True))
