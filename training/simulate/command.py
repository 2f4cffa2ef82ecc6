"""`mrclip-train simulate`."""

from pathlib import Path

import click

EXAMPLE = """\b
Examples:
  mrclip-train simulate studies/ --labels head-labels/ --studies 20
  mrclip-train simulate drawn/ --drawn --studies 1 --series 2
  mrclip-train simulate wrong/ --labels head-labels/ --corruption swap-header
"""


@click.command("simulate", epilog=EXAMPLE)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--labels",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of head label maps (NIfTI, FreeSurfer's numbers). Without: nilearn's MNI152 tissue maps.",
)
@click.option("--drawn", is_flag=True, help="Heads drawn from noise: no data is needed.")
@click.option("--studies", type=click.IntRange(1), default=10, show_default=True)
@click.option("--series", type=click.IntRange(1), default=4, show_default=True, help="Series of a study.")
@click.option("--slices", type=click.IntRange(1), default=12, show_default=True, help="Slices of a series.")
@click.option("--head-share", type=click.FloatRange(0, 1), default=0.6, show_default=True, help="Studies of heads.")
@click.option(
    "--enhanced-share", type=click.FloatRange(0, 1), default=0.15, show_default=True, help="Multi-frame series."
)
@click.option("--corruption", help="Make every header wrong in this way; an unknown name lists them all.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
def command(  # noqa: PLR0913 - one argument an option
    *,
    out: Path,
    labels: Path | None,
    drawn: bool,
    studies: int,
    series: int,
    slices: int,
    head_share: float,
    enhanced_share: float,
    corruption: str | None,
    seed: int,
) -> None:
    """Write simulated MR studies as DICOM to OUT (new or empty), with truth.csv that says what each series shows.

    Headers are true by construction unless a corruption is asked for. The same options give the same bytes.
    """
    import torch

    from training.errors import RefusedError
    from training.progress import progress
    from training.simulate.dicom.corruptions import by_name
    from training.simulate.people.cast import Cast, CastSpec
    from training.simulate.people.head import label_files
    from training.simulate.studies import StudySpec, study, write

    try:
        wrong = None if corruption is None else by_name(corruption)
        paths = [] if labels is None else label_files(labels)
    except (KeyError, ValueError) as error:
        raise RefusedError(str(error.args[0])) from error
    spec = StudySpec(
        series=series, slices=slices, head_share=head_share, enhanced_share=enhanced_share, corruption=wrong
    )
    pool = CastSpec(heads=8, bodies=12, lifetime_steps=100)
    cast = Cast(seed=seed, labels=paths, spec=pool, device=torch.device("cpu"), drawn_only=drawn)
    made = (study(cast, spec, seed=seed, number=number) for number in range(studies))
    count = sum(len(written) for written in progress(write(made, out), total=studies, what="studies"))
    click.echo(f"{count} series of {studies} studies in {out}")
