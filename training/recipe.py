"""A recipe: everything that decides how a model comes about, typed, checked and kept in its checkpoint.

Recipes are Hydra configurations in `training/recipes/`; an unknown key or a value of another type is refused by name.
"""

from collections.abc import Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import Any, Final, Literal

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from yaml import YAMLError

from inference.pixels import PixelSpec
from training.data.spec import DataSpec
from training.errors import RefusedError
from training.models.spec import ModelSpec
from training.preprocess.spec import PreprocessSpec
from training.strict import STRICT, AboveZero, Count, NotNegative, Positive, ShareBelowOne
from training.train.objective import LossSpec

RECIPES: Final = Path(__file__).with_name("recipes")
# lets a recipe that lies elsewhere name `base`, `model: ...` and `loss: ...`
PACKAGED: Final = f"hydra.searchpath=['file://{RECIPES}']"

# What comes of a file that is no YAML, no text, nested too deeply, names what is not there, or has no list of defaults.
_UNREADABLE: Final = (HydraException, OmegaConfBaseException, YAMLError, OSError, ValueError, RecursionError)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OptimiserSpec:
    """AdamW with a cosine schedule, and an exponential average of the weights."""

    steps: Positive = 10000
    learning_rate: AboveZero = 1e-3
    warmup_steps: Count = 500
    weight_decay: NotNegative = 0.1
    beta1: ShareBelowOne = 0.9
    beta2: ShareBelowOne = 0.98
    epsilon: AboveZero = 1e-6
    clip_norm: AboveZero | None = 1.0
    average_decay: ShareBelowOne = 0.999  # 0: the weights themselves

    def __post_init__(self) -> None:
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps is {self.warmup_steps}; must be less than {self.steps} steps")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RunSpec:
    """How and where it runs; only `precision` changes the result, and by rounding `micro_batch` and `threads`.

    With stochastic depth (`model.image.drop_path`) `micro_batch` draws other random numbers, as another seed would.
    """

    device: str = "auto"
    threads: Count = 0  # of the processor, for torch; 0: as many as it takes. Small models are faster with one
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16: automatic mixed precision
    micro_batch: Count = 0  # samples in memory at once; 0: all of this process. Not with batch normalisation
    log_every: Count = 20  # steps
    save_every: Count = 500  # steps
    evaluate_every: Count = 0  # steps; 0: at the end only
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ("tensorboard",)  # wandb needs that package


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Recipe:
    """All of it."""

    seed: Count = 0
    preprocess: PreprocessSpec = field(default_factory=PreprocessSpec)
    data: DataSpec = field(default_factory=DataSpec)
    model: ModelSpec = field(default_factory=ModelSpec)
    loss: LossSpec = field(default_factory=LossSpec)
    optimiser: OptimiserSpec = field(default_factory=OptimiserSpec)
    run: RunSpec = field(default_factory=RunSpec)

    @property
    def pixels(self) -> PixelSpec:
        """How slices are prepared for the model of this recipe; the bundle's `image` section."""
        image = self.model.image
        return PixelSpec(size_px=image.size_px, channels=image.channels, **asdict(self.data.pixels))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return asdict(self)


# The values above are the base that every recipe file begins with, so that every key can be overridden by name.
ConfigStore.instance().store("base", Recipe().to_dict())


def names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def recipe_file(name: str) -> Path:
    """The file of a packaged recipe by its name, or of one's own by its path; RefusedError if there is none."""
    if name in names():
        return RECIPES / f"{name}.yaml"
    own = Path(name)
    if own.suffix in (".yaml", ".yml") and own.is_file():
        return own.resolve()
    raise RefusedError(f"there is no recipe {name!r}; there are {', '.join(names())}, or give a YAML file")


def load_recipe(name: str = "default", overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by name or path, with Hydra overrides such as `loss=clip` or `optimiser.steps=100`.

    A recipe of one's own may name the packaged parts in its defaults list.
    """
    file = recipe_file(name)
    try:
        with initialize_config_dir(str(file.parent), version_base="1.3"):
            return recipe_from(compose(file.stem, overrides=[*overrides, PACKAGED]))
    except _UNREADABLE as error:
        raise RefusedError(f"recipe {name}: {' '.join(str(error).split())}") from error


def recipe_from(values: DictConfig | dict[str, Any]) -> Recipe:
    """A recipe from a Hydra configuration or a checkpoint's plain values."""
    plain = OmegaConf.to_container(values, resolve=True) if isinstance(values, DictConfig) else values
    try:
        return TypeAdapter(Recipe).validate_python(plain)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, entry['loc']))} is {entry['input']!r}: {entry['msg']}" for entry in error.errors()
        ]
        raise RefusedError(f"the recipe cannot be used: {'; '.join(wrong)}") from error
