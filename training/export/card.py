"""The model card of a bundle: what it is, what made it, what it must not be used for."""

import yaml

from training.export.about import About
from training.export.variants import Drift
from training.train.checkpoint import Trained

_TEXT = """# {name} {version}

Made {created} with mrclip. Licence: {licence}.

## What it is for
It embeds MR slices and acquisition parameters into one space, so that a slice can be asked which contrast it shows and
whether its header fits. For quality control of metadata and for research. It is not a medical device and says nothing
about disease.

## What it was trained on
{training_data}

{how}; image tower `{tower}` at {size} px, metadata tower of kind `{kind}`.

## What it answers badly
Anatomy, sequences and scanners that its training data do not hold; the out-of-domain gate, where the bundle has one,
turns most of them away. Probabilities belong to the prior that the weights in `label_grid.json` give.

{notes}
## Precision
Image tower: {precision}, {mebibytes:.1f} MiB. Cosine with the fp32 embedding on {images} images: mean {mean:.6f},
lowest {lowest:.6f}.

## Recipe
```yaml
{recipe}```
"""


def card(trained: Trained, about: About, drift: Drift) -> str:
    """`MODEL_CARD.md`."""
    recipe = trained.recipe
    return _TEXT.format(
        name=about.name,
        version=about.version,
        created=about.created,
        licence=about.licence,
        training_data=about.training_data,
        how=_how(trained),
        tower=recipe.model.image.name,
        size=recipe.model.image.size_px,
        kind=recipe.model.metadata.kind,
        notes=f"{about.notes.strip()}\n\n" if about.notes.strip() else "",
        precision=about.precision,
        mebibytes=drift.size_bytes / 2**20,
        images=drift.images,
        mean=drift.mean_cosine,
        lowest=drift.lowest_cosine,
        recipe=yaml.safe_dump(recipe.to_dict(), sort_keys=False, default_flow_style=None),
    )


def _how(trained: Trained) -> str:
    recipe = trained.recipe
    if trained.step == 0:
        return "Weights of others, imported; how they were trained is not known here"
    return f"{trained.step} steps of {recipe.data.batch_size} samples, loss `{recipe.loss.name}`"
