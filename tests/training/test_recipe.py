"""Recipes: every packaged one can be used, one's own may name packaged parts, and what is wrong is refused by name."""

from pathlib import Path

import pytest
import yaml

from training.errors import RefusedError
from training.models.build import build
from training.models.inputs import field_table
from training.recipe import RECIPES, load_recipe, names, recipe_from
from training.train.loop import check_undivided

EXAMPLES = Path(__file__).parents[2] / "configs" / "training"
ALL = [*names(), *(str(path) for path in sorted(EXAMPLES.glob("*.yaml")))]


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_survives_its_checkpoint(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe_from(yaml.safe_load(yaml.safe_dump(recipe.to_dict()))) == recipe
    assert recipe.pixels.size_px == recipe.model.image.size_px


@pytest.mark.parametrize("loss", sorted(path.stem for path in (RECIPES / "loss").glob("*.yaml")))
def test_every_loss_can_be_named(loss: str) -> None:
    assert load_recipe("tiny", [f"loss={loss}"]).loss.name == loss


@pytest.mark.parametrize(
    "model", sorted(path.stem for path in (RECIPES / "model").glob("*.yaml") if "vit_b" not in path.stem)
)
def test_every_model_can_be_built(model: str) -> None:
    spec = load_recipe("tiny", [f"model={model}"]).model
    built = build(spec, field_table([], spec.metadata.fields, min_count=1))
    assert sum(parameter.numel() for parameter in built.model.parameters()) > 100_000


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_example_is_a_run_that_is_not_refused(example: Path) -> None:
    recipe = load_recipe(str(example))
    model = build(recipe.model, field_table([], recipe.model.metadata.fields, min_count=1)).model
    for processes in (1, 4):
        check_undivided(recipe, model, processes=processes)


def test_the_paper_recipe_is_what_was_published() -> None:
    recipe = load_recipe("paper")
    model, metadata = recipe.model.image, recipe.model.metadata
    assert (model.name, model.size_px, recipe.model.embed_dim) == ("ViT-B-16", 224, 512)
    assert (metadata.kind, metadata.template, metadata.context_length) == ("text", "paper", 98)
    assert (metadata.width, metadata.heads, metadata.layers) == (512, 8, 12)
    assert (recipe.loss.name, recipe.loss.delta) == ("multi_positive", 0.5)
    optimiser = recipe.optimiser
    assert (optimiser.learning_rate, optimiser.beta2, optimiser.weight_decay) == (1e-4, 0.98, 0.2)
    assert (optimiser.warmup_steps, recipe.data.batch_size) == (2000, 512)
    assert (recipe.preprocess.window, recipe.preprocess.labels) == ("published", "paper")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimizer.steps=3", "optimizer.steps"),
        ("optimiser.steps=many", "optimiser.steps is 'many'"),
        ("loss=best", "loss/best"),
        ("loss.name=best", "loss.name is 'best'"),
        ("+data.augment.twirl=1", "data.augment.twirl"),
        ("model.metadata.width=65", "width is 65; must be a multiple of heads"),
        ("model.metadata.fields=[plain]", "'plain', which is no caption field"),
        ("optimiser.warmup_steps=99999", "warmup_steps is 99999; must be less than"),
        ("model.image.channels=2", "model.image.channels"),
        ("run.trackers=[paper]", "run.trackers"),
        ("data.batch_size=0", "data.batch_size is 0: .*greater than 0"),
        ("optimiser.learning_rate=-1", "optimiser.learning_rate is -1"),
        ("optimiser.learning_rate=nan", "optimiser.learning_rate is nan"),
        ("optimiser.average_decay=1", "optimiser.average_decay is 1: .*less than 1"),
        ("data.dropout.field=2", "data.dropout.field is 2"),
        ("data.augment.scale_low=3", "scale_low is 3.0; must be at most scale_high"),
        ("preprocess.slices=0", "preprocess.slices is 0"),
        ("preprocess.low_percentile=99.9", "low_percentile is 99.9; must be below high_percentile"),
        ("run.micro_batch=-3", "run.micro_batch is -3"),
        ("model.image.size_px=0", "model.image.size_px is 0"),
    ],
)
def test_what_is_wrong_is_named(override: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words.replace("[", r"\[")):
        load_recipe("tiny", [override])


@pytest.mark.parametrize(
    "content",
    [b"seed: [", b"seed: 1\nseed: 2", b"\xff\xfe\x00", b"a: " + b"[" * 2000, b"defaults: 3", b"seed: ${nothing}"],
    ids=["no YAML", "twice", "no text", "too deep", "no defaults", "unknown name"],
)
def test_a_file_that_is_no_recipe_is_one_line_with_its_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    with pytest.raises(RefusedError) as refused:
        load_recipe(str(file))
    assert str(refused.value).startswith(f"recipe {file}: ")
    assert "\n" not in str(refused.value)


def test_every_default_can_be_overridden_by_its_name() -> None:
    assert load_recipe("tiny", ["data.augment.gamma=0.3"]).data.augment.gamma == 0.3
    assert load_recipe("paper", ["optimiser.epsilon=1e-8"]).optimiser.epsilon == 1e-8
