"""Two stages that two processor cores can afford: first the image tower, then the metadata tower on its embeddings.

*Images.* The image tower learns kinds (families of sequences) as prototypes on the unit sphere. A simulated slice
counts once for what it shows and once for its kind; a real one, whose kind is unknown, for what it shows: the summed
probability of the kinds that show it.

*Captions.* With the image tower locked (LiT, Zhai 2022), the metadata tower learns where the images of a caption lie:
the multi-positive contrastive loss of MR-CLIP over large batches of stored embeddings. Two samples are positives if
their kinds are the same or, where one is unknown, if they show the same.
"""

import logging
import time
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from training.bundle_data import Classes, MixedSamples, Sample
from training.data.batches import mixed_seed
from training.data.dropout import drop_fields
from training.losses import multi_positive
from training.models.build import Built
from training.models.contrast import unit
from training.recipe import Recipe
from training.train.average import WeightAverage
from training.train.loop import make_optimiser
from training.train.schedule import cosine

log = logging.getLogger(__name__)

KIND_WEIGHT: Final = 0.3  # of the kind beside what is shown
# What is coarse is learnt from small images, at half the cost (progressive learning, Tan and Le 2021).
SMALL_PX: Final = 96
SMALL_SHARE: Final = 0.65  # of the steps of a tower that begins anew
LARGEST_PX: Final = 128  # of the images to train on
# After that every step draws its size: read at one size that no step was trained at alone, real images lose less.
SIZES_PX: Final = (96, 104, 112, 120, LARGEST_PX)
CAPTION_STEPS: Final = 250
CAPTION_BATCH: Final = 1024
SAVE_EVERY: Final = 50


class Prototypes(nn.Module):
    """An image tower with one direction a kind."""

    def __init__(self, image: nn.Module, classes: Classes, embed_dim: int) -> None:
        super().__init__()
        self.image = image
        self.directions = nn.Parameter(torch.randn(len(classes.kinds), embed_dim))
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def forward(self, pixels: Tensor) -> Tensor:
        """Log-probabilities of the kinds."""
        cosines = unit(self.image(pixels)) @ unit(self.directions).T
        return functional.log_softmax(self.log_scale.exp() * cosines, dim=1)


def image_loss(log_kinds: Float[Tensor, "n k"], sample: Sample, classes: Classes) -> Tensor:
    """Minus the log-probability of what is shown, and a share of that of the kind where it is known.

    A real slice competes only among what real slices show, and strange images: of diffusion or maps hardly a real one
    may be trained on, and a tower that is told so often what real slices are not learns that they never are.
    """
    known = sample.kind >= 0
    rivals = torch.where(known[:, None] | classes.rivals_of_real[None, :], log_kinds, -torch.inf)
    fits = classes.shown_of_kind[None, :] == sample.shown[:, None]
    of_shown = rivals.logsumexp(dim=1) - torch.where(fits, log_kinds, -torch.inf).logsumexp(dim=1)
    of_kind = -log_kinds[known].gather(1, sample.kind[known][:, None])
    return of_shown.mean() + KIND_WEIGHT * of_kind.sum() / len(log_kinds)


def train_images(
    built: Built, samples: MixedSamples, classes: Classes, recipe: Recipe, path: Path, *, begin: Path | None = None
) -> None:
    """Train the image tower of `built`, from the one in `begin` if there is one.

    The averaged weights are its own at the end, and in `path`, with their prototypes, on the way.
    """
    torch.manual_seed(recipe.seed)
    spec = recipe.optimiser
    model = Prototypes(built.model.image, classes, recipe.model.embed_dim).to(memory_format=torch.channels_last)
    if begin is not None:
        model.load_state_dict(torch.load(begin, weights_only=True))
    averaged = WeightAverage(model, spec.average_decay)
    optimiser = make_optimiser(model, spec)
    since, right = time.monotonic(), 0.0
    for step in range(spec.steps):
        model.train()
        for group in optimiser.param_groups:
            group["lr"] = cosine(step, base=spec.learning_rate, warmup_steps=spec.warmup_steps, steps=spec.steps)
        sample = samples.step(step)
        small = begin is None and step < SMALL_SHARE * spec.steps
        log_kinds = model(_shrunk(sample.images, SMALL_PX if small else _size(recipe.seed, step)))
        loss = image_loss(log_kinds, sample, classes)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        averaged.update(model, step)
        right += float((classes.shown_of_kind[log_kinds.argmax(dim=1)] == sample.shown).float().mean())
        if (step + 1) % recipe.run.log_every == 0:
            rate = (time.monotonic() - since) / recipe.run.log_every
            log.info(
                "images %d: loss %.3f, right %.3f, %.2f s a step",
                step + 1,
                loss.item(),
                right / recipe.run.log_every,
                rate,
            )
            since, right = time.monotonic(), 0.0
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == spec.steps:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(averaged.model.state_dict(), path)
    built.model.image.load_state_dict(averaged.model.image.state_dict())


def _size(seed: int, step: int) -> int:
    return int(np.random.default_rng([seed, 5, step]).choice(SIZES_PX))


def _shrunk(images: Float[Tensor, "n 1 s s"], size_px: int) -> Tensor:
    if images.shape[-1] <= size_px:
        return images
    size = (size_px, size_px)
    return functional.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)


@torch.inference_mode()
def embed(built: Built, samples: MixedSamples, *, size_px: int, first: int, steps: int) -> tuple[Tensor, Sample]:
    """The embeddings of freshly augmented samples at `size_px`, and the samples without their images."""
    built.model.eval()
    drawn = [samples.step(first + number) for number in range(steps)]
    embeddings = torch.cat([built.model.encode_images(_shrunk(one.images, size_px)) for one in drawn])
    captions = [caption for one in drawn for caption in one.captions]
    shown, kind = torch.cat([one.shown for one in drawn]), torch.cat([one.kind for one in drawn])
    return embeddings.clone(), Sample(torch.zeros(0, 1, 1, 1), captions, shown, kind)


def train_captions(built: Built, embeddings: Float[Tensor, "n d"], sample: Sample, recipe: Recipe) -> None:
    """Train the metadata tower and the scale on the embeddings of a locked image tower."""
    model = built.model
    model.image.requires_grad_(False)
    trained = [*model.metadata.parameters(), model.log_scale]
    optimiser = torch.optim.AdamW(trained, lr=recipe.optimiser.learning_rate, weight_decay=0.01)
    model.metadata.train()
    for step in range(CAPTION_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = cosine(step, base=2e-3, warmup_steps=30, steps=CAPTION_STEPS)
        rng = np.random.default_rng([recipe.seed, 7, step])
        chosen = rng.choice(len(embeddings), size=min(CAPTION_BATCH, len(embeddings)), replace=False)
        captions = [sample.captions[index] for index in chosen]
        captions = drop_fields(captions, recipe.data.dropout, seed=mixed_seed(recipe.seed, 7, step))
        logits = model.scale * embeddings[chosen] @ model.encode_metadata(built.inputs.encode(captions)).T
        loss = multi_positive(logits, positives(sample.shown[chosen], sample.kind[chosen]))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        model.clamp_scale()
        if (step + 1) % 100 == 0:
            log.info("captions %d: loss %.3f, scale %.1f", step + 1, loss.item(), model.scale.item())
    model.eval().requires_grad_(False)


def positives(shown: Tensor, kind: Tensor) -> Tensor:
    """(n, n): the same kind, or the same shown where one of the kinds is unknown."""
    unknown = (kind[:, None] < 0) | (kind[None, :] < 0)
    return torch.where(unknown, shown[:, None] == shown[None, :], kind[:, None] == kind[None, :])
