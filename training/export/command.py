"""`mrclip-train export`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import click
import numpy as np
import torch

from inference.pixels import PixelSpec, standardise
from training.data.batches import read_slice
from training.data.rows import SliceRow, read_rows
from training.errors import RefusedError
from training.export.about import About
from training.export.bundle import export
from training.export.variants import PRECISIONS, Precision
from training.train.checkpoint import load_trained

_COMPARED = 64  # slices for parity and drift

EXAMPLE = """\b
Examples:
  mrclip-train export runs/first/last.pt data/ bundles/first --name first --version 1
  mrclip-train export runs/first/last.pt data/ bundles/small --name first --version 1 --precision int8
"""


@click.command("export", epilog=EXAMPLE)
@click.argument("checkpoint", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--name", default="mrclip", show_default=True)
@click.option("--version", default="0", show_default=True)
@click.option("--licence", default="not stated", show_default=True)
@click.option("--training-data", default="not stated", show_default=True, help="One sentence.")
@click.option("--notes", type=click.File(encoding="utf-8"), help="Markdown for the model card.")
@click.option("--slices", type=click.IntRange(1), default=16, show_default=True, help="Slices of a stack to encode.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--torchscript", is_flag=True, help="TorchScript files beside the ONNX ones.")
def command(  # noqa: PLR0913 - one argument an option
    *,
    checkpoint: Path,
    data: Path,
    out: Path,
    name: str,
    version: str,
    licence: str,
    training_data: str,
    notes: TextIO | None,
    slices: int,
    precision: Precision,
    torchscript: bool,
) -> None:
    """Write CHECKPOINT as a bundle to OUT; DATA/train.csv gives the captions of the label grid.

    torch and ONNX Runtime are compared first, on slices of DATA/val.csv (or train.csv).
    """
    about = About(
        name=name,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        licence=licence,
        training_data=training_data,
        notes="" if notes is None else notes.read(),
        slices=slices,
        precision=precision,
        torchscript=torchscript,
    )
    trained = load_trained(checkpoint, torch.device("cpu"))
    rows = read_rows(data / "train.csv")
    held_out = read_rows(data / "val.csv") if (data / "val.csv").exists() else []
    if not rows:
        raise RefusedError(f"{data / 'train.csv'}: holds no slice; its captions make the label grid")
    images = _images(held_out or rows, data, trained.recipe.pixels)
    captions = [row.caption for row in rows]
    try:
        exported = export(trained, out, about, captions=captions, images=images)
    except FileExistsError as error:
        raise RefusedError(f"{out} exists; a bundle is never written to again") from error
    click.echo(f"{out}: {exported.bundle.sha256}")
    click.echo(
        f"torch and ONNX Runtime differ by {exported.parity:.2g}; {precision} against fp32: "
        f"mean cosine {exported.drift.mean_cosine:.6f}, lowest {exported.drift.lowest_cosine:.6f}"
    )


def _images(rows: list[SliceRow], folder: Path, pixels: PixelSpec) -> np.ndarray:
    """Slices from all over the rows, as the image tower takes them."""
    chosen = rows[:: max(1, len(rows) // _COMPARED)][:_COMPARED]
    return standardise(np.stack([read_slice(folder / row.filepath, pixels.size_px) for row in chosen]), pixels)
