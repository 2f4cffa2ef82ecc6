"""`mrclip calibrate`: the alarms of this node, measured on clean series of this site."""

from functools import partial
from pathlib import Path

import click

from dicom_node.commands.faults import in_one_line
from dicom_node.commands.options import config_option, settings_from
from dicom_node.commands.outputs import expect_folder, new_file
from dicom_node.commands.owner import refuse_root

EXAMPLE = """\b
Examples:
  mrclip calibrate clean-series/ --config /etc/mrclip/node.yaml
  mrclip calibrate clean-series/ --bundle my-bundle/ --output calibration.json
"""
FOLDER = click.Path(exists=True, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
# Fewer series than this cannot make a p-value of 0.01 (inference.calibration).
FEWEST = 99


@click.command("calibrate", epilog=EXAMPLE)
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR...")
@config_option
@click.option("--bundle", help="Bundle folder.  [default: the settings' bundle]")
@click.option(
    "--output",
    type=FILE,
    callback=new_file,
    help="Where to write it.  [default: beside the node's spool, where it is used]",
)
def command(*, folders: tuple[Path, ...], config: Path | None, bundle: str | None, output: Path | None) -> None:
    """Calibrate the alarms on clean series below DIR: series of this site whose headers are known to be right.

    The node takes the file up with the next series it reads. It holds scores, no patient and no UID.
    """
    from dicom_node.commands.progress import progress
    from dicom_node.wiring import calibration_file, utc_now
    from dicom_node.work.readers import READER_ERRORS, Readers
    from inference.atomic import replace_file
    from inference.calibration import CalibrationError, Provenance
    from inference.calibration_fit import fit
    from inference.clean import read_clean
    from inference.model import load_model

    settings = settings_from(config)
    if output is None:
        refuse_root(settings)
        expect_folder(calibration_file(settings).parent)
    try:
        reader = Readers(
            bundle=bundle or settings.reader.bundle, calibration=None, alarm_rate=settings.reader.alarm_rate,
            load=partial(load_model, backend=settings.reader.backend, device=settings.reader.device),
        ).current()  # fmt: skip
        if reader.model is None:
            raise click.UsageError("rules alone have no alarms to calibrate; name a bundle")
        with progress() as advance:
            clean = read_clean(folders, reader, advance=advance)
        created = utc_now().isoformat(timespec="seconds")
        sha256 = reader.model.bundle.sha256
        calibration = fit(clean.records, Provenance(source="site", kind="real", created=created, bundle_sha256=sha256))
    except (*READER_ERRORS, CalibrationError) as error:
        raise click.UsageError(str(error)) from error
    target = output or calibration_file(settings)
    with in_one_line():
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, calibration.to_json())
    click.echo(f"{target}: {len(clean.records)} series")
    if clean.contradictory or clean.unread:
        click.echo(f"left out: {clean.contradictory} with errors in the header, {clean.unread} that no model reads")
    if len(clean.records) < FEWEST:
        click.echo(
            f"fewer than {FEWEST} series: no alarm at a rate below {1 / (len(clean.records) + 1):.3f} is possible"
        )
