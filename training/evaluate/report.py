"""Everything `mrclip-train test` measures, as one value, its JSON and its table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from training.data.rows import SliceRow
from training.evaluate.embed import CaptionGallery, caption_gallery, embed_slices
from training.evaluate.parameters import ParameterError, parameter_errors
from training.evaluate.probe import Probe, probe
from training.evaluate.retrieval import (
    Retrieval,
    caption_to_image,
    image_to_caption,
    ranks,
    volume_mean,
    volume_vote,
)  # fmt: skip
from training.evaluate.traces import Trace
from training.train.checkpoint import Trained


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The slices of one CSV."""

    rows: Sequence[SliceRow]
    folder: Path


@dataclass(frozen=True, kw_only=True)
class RetrievalReport:
    """Both directions at slice level, images to captions at volume level."""

    image_to_caption: Retrieval
    caption_to_image: Retrieval
    volume_mean: Retrieval
    volume_vote: dict[int, float]
    parameters: dict[str, ParameterError] | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a model can do on held-out slices."""

    slices: int
    volumes: int
    captions: int
    with_description: RetrievalReport
    without_description: RetrievalReport
    probes: dict[str, Probe | None]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured besides."""

    distance: bool = False
    traces: int = 0  # how many cases to trace


def measure(
    trained: Trained,
    test: Rows,
    train: Rows | None,
    device: torch.device,
    options: Options = Options(),
) -> tuple[Report, list[Trace]]:
    """Measure a model on `test`; probes learn from `train` where it is given."""
    images = embed_slices(trained.built, test.rows, test.folder, trained.recipe.pixels, device)
    probes: dict[str, Probe | None] = {}
    if train is not None:
        known = embed_slices(trained.built, train.rows, train.folder, trained.recipe.pixels, device)
        probes = probe(known, [row.caption for row in train.rows], images, [row.caption for row in test.rows])
    galleries = [caption_gallery(trained.built, test.rows, device, description=with_it) for with_it in (True, False)]
    with_it, without_it = (_retrieval(images, test.rows, gallery, options) for gallery in galleries)
    report = Report(
        slices=len(test.rows),
        volumes=len({row.volume for row in test.rows}),
        captions=len(galleries[0].captions),
        with_description=with_it,
        without_description=without_it,
        probes=probes,
    )
    return report, _traces(images, test, galleries[1], options.traces)


def _retrieval(
    images: Float[np.ndarray, "n d"], rows: Sequence[SliceRow], found: CaptionGallery, options: Options
) -> RetrievalReport:
    labels, volumes = np.array([row.label for row in rows]), [row.volume for row in rows]
    means, first = volume_mean(images, volumes)
    nearest = (images @ found.gallery.embeddings.T).argmax(axis=1)
    retrieved = [found.captions[place] for place in nearest]
    return RetrievalReport(
        image_to_caption=image_to_caption(images, labels, found.gallery),
        caption_to_image=caption_to_image(images, labels, found.gallery),
        volume_mean=image_to_caption(means, labels[first], found.gallery),
        volume_vote=volume_vote(images, labels, volumes, found.gallery),
        parameters=parameter_errors([row.caption for row in rows], retrieved) if options.distance else None,
    )


def _traces(images: Float[np.ndarray, "n d"], test: Rows, found: CaptionGallery, count: int) -> list[Trace]:
    """The first slices of the `count` volumes that rank worst."""
    _, first = volume_mean(images, [row.volume for row in test.rows])
    labels = np.array([test.rows[place].label for place in first])
    right = labels[:, None] == found.gallery.labels[None, :]
    scores = images[first] @ found.gallery.embeddings.T
    order = ranks(images[first], found.gallery.embeddings, right)
    traces: list[Trace] = []
    for case in np.argsort(-order, kind="stable")[:count]:
        row, nearest = test.rows[first[case]], np.argsort(-scores[case], kind="stable")[:3]
        traces.append(
            Trace(
                picture=test.folder / row.filepath,
                name=row.filepath,
                truth=row.caption,
                rank=int(order[case]),
                retrieved=[(float(scores[case, at]), bool(right[case, at]), found.captions[at]) for at in nearest],
            )
        )
    return traces


def table(report: Report) -> str:
    """The figures as Markdown: retrieval, errors of the retrieved parameters where they were asked for, probes."""
    lines = [
        f"{report.slices} slices of {report.volumes} volumes, {report.captions} captions",
        "",
        "| | queries | R@1 | chance | R@5 | R@10 | median rank | mean rank |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for words, found in (("with description", report.with_description), ("without", report.without_description)):
        for name in ("image_to_caption", "caption_to_image", "volume_mean"):
            one: Retrieval = getattr(found, name)
            recall = [f"{one.recall[1]:.3f}", f"{one.chance[1]:.3f}", f"{one.recall[5]:.3f}", f"{one.recall[10]:.3f}"]
            cells = [f"{name}, {words}", str(one.queries), *recall, f"{one.median_rank:g}", f"{one.mean_rank:.1f}"]
            lines.append(f"| {' | '.join(cells)} |")
        vote = found.volume_vote
        lines.append(
            f"| volume_vote, {words} | {report.volumes} | {vote[1]:.3f} | | {vote[5]:.3f} | {vote[10]:.3f} | | |"
        )
    lines += _distances(report)
    for name, one_probe in report.probes.items():
        if one_probe is not None:
            lines.append(
                f"\n{name}: linear probe {one_probe.linear:.3f} (balanced {one_probe.linear_balanced:.3f}), "
                f"{one_probe.classes} classes, majority {one_probe.majority:.3f}, kNN {one_probe.neighbours:.3f}"
            )
    return "\n".join(lines)


def _distances(report: Report) -> list[str]:
    """How far TE, TR and TI of the retrieved captions are off; nothing where nobody asked."""
    if report.without_description.parameters is None:
        return []
    lines = [
        "",
        "| retrieved caption | compared | median error | mean error | within 10 % | only one has it |",
        "|---|---|---|---|---|---|",
    ]
    for words, found in (("with description", report.with_description), ("without", report.without_description)):
        for field, error in (found.parameters or {}).items():
            named, unit = field.rsplit("_", 1)
            errors = [
                "–" if value is None else f"{value:.3g} {unit}"
                for value in (error.median_absolute, error.mean_absolute)
            ]
            within = "–" if error.within_tenth is None else f"{error.within_tenth:.3f}"
            cells = [f"{named}, {words}", str(error.both), *errors, within, str(error.only_one)]
            lines.append(f"| {' | '.join(cells)} |")
    return lines
