"""The figures of a benchmark as pictures: which contrast is taken for which, what withholding costs, what is found."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure


def write_plots(found: Mapping[str, Any], folder: Path, *, name: str) -> list[Path]:
    """`NAME-confusion.svg` where a contrast is counted, `NAME-abstention.svg`, and `NAME-corruptions.svg` where headers
    were corrupted."""
    pictures = {"abstention": _curve(found)}
    if found["contrast"]["confusion"]:
        pictures["confusion"] = _confusion(found["contrast"]["confusion"])
    if "corruptions" in found:
        pictures["corruptions"] = _corruptions(found["corruptions"])
    paths: list[Path] = []
    for kind, figure in pictures.items():
        paths.append(folder / f"{name}-{kind}.svg")
        figure.savefig(paths[-1], bbox_inches="tight", metadata={"Date": None})
    return paths


def _confusion(table: Mapping[str, Mapping[str, int]]) -> Figure:
    answers = sorted({answer for row in table.values() for answer in row})
    counts = np.array([[row.get(answer, 0) for answer in answers] for row in table.values()]).reshape(-1, len(answers))
    figure = Figure(figsize=(2 + 0.6 * len(answers), 1.5 + 0.4 * len(table)))
    axes = figure.subplots()
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(answers)), answers, rotation=60, ha="right")
    axes.set_yticks(range(len(table)), list(table))
    for row, column in zip(*np.nonzero(counts), strict=True):
        axes.text(column, row, str(counts[row, column]), ha="center", va="center")
    axes.set_xlabel("answer, or why there is none")
    axes.set_ylabel("truth, stacks")
    return figure


def _curve(found: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(5, 3.5))
    axes = figure.subplots()
    points = [one for one in found["abstention_curve"] if one["answered"]]
    answered = [one["answered"] / one["stacks"] for one in points]
    right = [one["right"] / one["answered"] for one in points]
    axes.plot(answered, right, marker="o")
    for one, x, y in zip(points, answered, right, strict=True):
        axes.annotate(f"{one['probability']:g}", (x, y), textcoords="offset points", xytext=(4, 4))
    axes.set(xlim=(0, 1.05), ylim=(0, 1.05), xlabel="share answered", ylabel="share right of those")
    axes.set_title("threshold of the probability")
    return figure


def _corruptions(found: Mapping[str, Any]) -> Figure:
    shown = {name: one for name, one in found.items() if one["series"]}
    figure = Figure(figsize=(5, 1 + 0.22 * len(shown)))
    axes = figure.subplots()
    values = np.array([one["auroc"] for one in shown.values()])
    bounds = np.array([one["interval"] for one in shown.values()]).reshape(-1, 2)
    reach = np.stack([values - bounds[:, 0], bounds[:, 1] - values]).clip(min=0)
    axes.errorbar(values, range(len(shown)), xerr=reach, fmt="o")
    axes.axvline(0.5, linestyle=":", color="grey")
    axes.set_yticks(range(len(shown)), [f"{name} ({one['grade']})" for name, one in shown.items()])
    axes.set(xlim=(0, 1.02), xlabel="area under the ROC curve")
    axes.invert_yaxis()
    return figure
