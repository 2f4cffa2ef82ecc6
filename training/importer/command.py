"""`mrclip-train import`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import click

from training.data.rows import read_rows
from training.errors import RefusedError
from training.export.about import About
from training.export.variants import PRECISIONS, Precision
from training.importer.run import import_checkpoint

EXAMPLE = """\b
Example:
  mrclip-train import epoch_latest.pt bundles/published --name published --licence "as the authors say"
"""


@click.command("import", epilog=EXAMPLE)
@click.argument("checkpoint", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--name", default="imported", show_default=True)
@click.option("--version", default="0", show_default=True)
@click.option("--licence", default="not stated", show_default=True)
@click.option("--training-data", default="not stated", show_default=True, help="One sentence.")
@click.option("--notes", type=click.File(encoding="utf-8"), help="Markdown for the model card.")
@click.option(
    "--captions", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV of `preprocess` whose captions make the label grid.  [default: typical protocols of the brain]",
)  # fmt: skip
@click.option("--quick-gelu", is_flag=True, help="The towers use QuickGELU, as OpenAI's own weights do.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--torchscript", is_flag=True, help="TorchScript files beside the ONNX ones.")
def command(  # noqa: PLR0913 - one argument an option
    *,
    checkpoint: Path,
    out: Path,
    name: str,
    version: str,
    licence: str,
    training_data: str,
    notes: TextIO | None,
    captions: Path | None,
    quick_gelu: bool,
    precision: Precision,
    torchscript: bool,
) -> None:
    """Make the bundle OUT of CHECKPOINT, a CLIP with a Vision Transformer saved by open_clip.

    Image size, widths, layers and context length are read from the weights; RGB becomes grey without changing a result.
    """
    about = About(
        name=name,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        licence=licence,
        training_data=training_data,
        notes="" if notes is None else notes.read(),
        precision=precision,
        torchscript=torchscript,
    )
    known = None if captions is None else [row.caption for row in read_rows(captions)]
    try:
        exported = import_checkpoint(checkpoint, out, about, captions=known, quick_gelu=quick_gelu)
    except FileExistsError as error:
        raise RefusedError(f"{out} exists; a bundle is never written to again") from error
    click.echo(f"{out}: {exported.bundle.sha256}")
    click.echo(f"torch and ONNX Runtime differ by {exported.parity:.2g}")
