"""The whole examination, in the order in which a person would go: the machine, what it keeps, whom it talks to."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path

from dicom_node.doctor import Check, broken, cannot_look, ok
from dicom_node.doctor.certificates import check_certificates
from dicom_node.doctor.clock import check_clock, is_synchronised
from dicom_node.doctor.disk import check_disk
from dicom_node.doctor.files import check_files
from dicom_node.doctor.index import check_ledger
from dicom_node.doctor.peers import Answer, ask_broker, ask_destination, ask_folder, ask_node, ask_orthanc, ask_store
from dicom_node.settings import DicomDestination, Settings
from dicom_node.wiring import make_readers
from dicom_node.work.readers import READER_ERRORS
from inference.calibration import CalibrationError
from inference.encoder import BackendMissing, CudaError


def examine(settings: Settings, *, now: datetime) -> Iterator[Check]:
    """Look at everything that `settings` name; peers are asked at the same time, with time limits."""
    yield from check_disk(settings)
    yield from check_ledger(settings, now)
    yield _bundle(settings)
    yield from check_files(settings)
    yield from check_certificates(settings, now)
    answers = _ask(settings)
    for answer in answers:
        yield from answer.checks
    ahead_s = {
        answer.server: answer.ahead_s for answer in answers if answer.server is not None and answer.ahead_s is not None
    }
    yield from check_clock(ahead_s, settings.work.lease_s, is_synchronised)


def _ask(settings: Settings) -> list[Answer]:
    questions: list[Callable[[], Answer]] = [
        partial(ask_node, settings.scp),
        partial(ask_broker, settings.queue),
        partial(ask_store, settings.spool),
    ]
    for one in settings.destinations:
        if isinstance(one, DicomDestination):
            questions.append(partial(ask_destination, one, settings.scp.ae_title))
        else:
            questions.append(partial(ask_folder, one))
    questions += [partial(ask_orthanc, source) for source in settings.web.orthancs]
    with ThreadPoolExecutor(8, thread_name_prefix="doctor") as pool:
        asked = [pool.submit(question) for question in questions]
        return [future.result() for future in asked]


def _bundle(settings: Settings) -> Check:
    """The reader is built as the node builds it: every file of the bundle is compared with its digest."""
    try:
        model = make_readers(settings).current().model
    except (BackendMissing, CudaError) as error:
        advice = "Install what is missing, or name what this machine has in reader.backend and reader.device."
        return broken("bundle", str(error), advice)
    except CalibrationError as error:
        advice = "Make it again (`mrclip calibrate`), or take it away; or run this as the user that runs the node."
        return broken("calibration", str(error), advice)
    except OSError as error:
        return cannot_look("bundle", Path(settings.reader.bundle or "bundle"), error)
    except READER_ERRORS as error:
        advice = "Copy the bundle again, or name another one in reader.bundle (`mrclip bundles`)."
        return broken("bundle", str(error), advice)
    if model is None:
        return ok("bundle", "none: rules alone")
    manifest = model.bundle.manifest
    return ok("bundle", f"{manifest.name} {manifest.version} is whole ({model.bundle.sha256[:12]})")
