"""Where objects are built from settings: the one place that knows every class of the node."""

import os
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from dicom_node import settings as tree
from dicom_node.commitment.scp import CommitmentScp
from dicom_node.deliver import Destination
from dicom_node.deliver.commitment import DicomCommitter
from dicom_node.deliver.dicom import DicomDestination
from dicom_node.deliver.folder import FolderDestination
from dicom_node.exchange.publisher import Publisher, PublisherPolicy, WithPublished
from dicom_node.exchange.store import ObjectStore
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.store import Ledger
from dicom_node.ledger.sweeper import Sweeper, SweepTurn
from dicom_node.receive.fetch import Fetcher, Source
from dicom_node.receive.intake import Intake
from dicom_node.receive.pool import ScpPool
from dicom_node.receive.quarantine import Quarantine
from dicom_node.receive.server import StorageScp
from dicom_node.receive.spool import Spool
from dicom_node.report.context import Companions
from dicom_node.retention import Remover, RetentionPolicy
from dicom_node.settings import Settings
from dicom_node.tracing import tracing
from dicom_node.web.accounts import Accounts
from dicom_node.web.metrics import Metrics
from dicom_node.web.site import Site, secret
from dicom_node.wiring_receive import make_peer, open_spool, reach_ledger, utc_now
from dicom_node.work.dispatch import Dispatcher, Tasks, ThreadDispatcher
from dicom_node.work.files import SpoolFiles, StoreFiles, WorkFiles
from dicom_node.work.outdated import WithOutdated
from dicom_node.work.pipeline import Pipeline, WorkPolicy
from dicom_node.work.readers import Readers, bundle_source
from dicom_node.zones import zone
from inference.model import load_model

if TYPE_CHECKING:
    from celery import Celery

# A message that waits longer than this for its worker is delivered again; readings are leased anyway.
_VISIBILITY_TIMEOUT_S = 6 * 3600.0
_BROKER_ANSWERS_S = 1.0  # or is said to be away; whoever asks whether the node is ready waits so long
_MOST_PROCESSES = 4  # that receive, where the settings do not say how many
_SHORTEST_TURN_S = 5.0  # without a sweep, and somebody else sweeps


def owner() -> str:
    """A name for this process as the holder of leases."""
    return f"{socket.gethostname()}:{os.getpid()}"


def make_scp(
    settings: Settings, *, intake: Intake, commitment: CommitmentScp, metrics: Metrics, lost: Callable[[], None]
) -> StorageScp | ScpPool:
    """The receiving peer: in this process, or in several behind one port, of which one may be `lost`."""
    count = settings.scp.processes or min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))
    if count == 1:
        return StorageScp(settings.scp, intake, commitment=commitment, refused=metrics.refused)
    return ScpPool(
        settings,
        count=count,
        released=intake.released,
        received=metrics.received,
        refused=metrics.refused,
        lost=lost,
    )


def open_ledger(settings: Settings) -> tuple[Ledger, Engine]:
    """The ledger, its schema brought up to date."""
    if settings.ledger.database_url is None:
        settings.spool.path.absolute().parent.mkdir(parents=True, exist_ok=True)
    ledger, engine = reach_ledger(settings)
    migrate(engine)
    return ledger, engine


def open_store(settings: Settings) -> ObjectStore | None:
    """The object store between nodes and workers, where there is one."""
    return None if settings.spool.url is None else ObjectStore(settings.spool.url.get_secret_value())


def make_publisher(settings: Settings, *, ledger: Ledger, spool: Spool) -> Publisher | None:
    """What publishes the spool to the object store, where there is one."""
    store, work = open_store(settings), settings.work
    if store is None:
        return None
    policy = PublisherPolicy(
        interval_s=work.sweep_interval_s, retry_s=work.retry_s, ahead_s=settings.series.quiet_s + work.sweep_interval_s
    )
    return Publisher(ledger=ledger, spool=spool, store=store, policy=policy, clock=utc_now)


def make_files(settings: Settings) -> WorkFiles:
    """Where a worker has its files from."""
    store = open_store(settings)
    return SpoolFiles(open_spool(settings)) if store is None else StoreFiles(store, settings.spool.path / "fetched")


def make_remover(settings: Settings, *, ledger: Ledger, spool: Spool, publisher: Publisher | None) -> Remover:
    """What takes series out of the spool, and out of the object store."""
    asked = settings.retention
    policy = RetentionPolicy(
        answered=None if asked.answered_days is None else timedelta(days=asked.answered_days),
        quarantine=None if asked.quarantine_days is None else timedelta(days=asked.quarantine_days),
        interval_s=asked.interval_s,
    )
    unpublish = None if publisher is None else publisher.unpublish
    return Remover(ledger=ledger, spool=spool, policy=policy, clock=utc_now, unpublish=unpublish)


def make_readers(settings: Settings) -> Readers:
    """The readers that the settings ask for, with the site's calibration beside the spool where there is one."""
    return Readers(
        bundle=settings.reader.bundle,
        calibration=calibration_file(settings),
        alarm_rate=settings.reader.alarm_rate,
        load=partial(
            load_model,
            backend=settings.reader.backend,
            device=settings.reader.device,
            threads=max(1, len(os.sched_getaffinity(0)) // settings.reader.threads),
            batch=settings.reader.batch,
        ),
    )


def calibration_file(settings: Settings) -> Path:
    """Where a site's own calibration lies, if it has one."""
    return settings.spool.path.absolute().parent / "calibration.json"


def secret_file(settings: Settings) -> Path:
    """Where the secret of the pages' sessions lies."""
    return settings.spool.path.absolute().parent / "web-secret"


def make_pipeline(settings: Settings, *, ledger: Ledger, files: WorkFiles, readers: Readers) -> Pipeline:
    """What does the work of a task."""
    tracing.set_up(settings.tracing)
    work = settings.work
    return Pipeline(
        ledger=ledger,
        files=files,
        reader=readers.current,
        destinations={one.name: make_destination(one, settings.scp.ae_title) for one in settings.destinations},
        policy=WorkPolicy(
            owner=owner(),
            lease_s=work.lease_s,
            retry_s=work.retry_s,
            retry_max_s=work.retry_max_s,
            delivery_max_attempts=work.delivery_max_attempts,
            send=settings.report.send,
            commitment_answer_s=settings.commitment.answer_s,
            commitment_max_asks=settings.commitment.max_asks,
            companions=Companions(
                secondary_capture=settings.report.secondary_capture, key_objects=settings.report.key_objects
            ),
            timezone=zone(settings.report.timezone),
        ),
        clock=utc_now,
    )


def make_fetcher(settings: Settings, intake: Intake) -> Fetcher:
    """What fetches series from the Orthancs that the settings name."""
    sources = [
        Source(
            url=one.url.rstrip("/"),
            username=one.username,
            password=None if one.password is None else one.password.get_secret_value(),
        )
        for one in settings.web.orthancs
    ]
    limit = settings.scp.max_instance_bytes
    return Fetcher({source.url: source for source in sources}, intake, max_instance_bytes=limit)


def _broker_check(queue: tree.QueueSettings) -> Callable[[], object] | None:
    if queue.broker_url is None:
        return None
    from dicom_node.work.broker import ask  # not without a broker: a node of its own starts faster without redis

    return partial(ask, queue.broker_url, timeout_s=_BROKER_ANSWERS_S)


def make_site(
    settings: Settings, *, ledger: Ledger, spool: Spool, fetcher: Fetcher, readers: Readers, metrics: Metrics
) -> Site:
    """What the web part answers from."""
    quarantine = Quarantine(spool.root)
    metrics.watch(ledger, quarantine, utc_now, reader=readers.current)
    return Site(
        ledger=ledger,
        spool=spool,
        quarantine=quarantine,
        metrics=metrics,
        reader=readers.current,
        registry=readers.registry,
        clock=utc_now,
        settings=settings.web,
        accounts=Accounts(settings.accounts_file),
        fetcher=fetcher,
        secret=secret(secret_file(settings)),
        broker=_broker_check(settings.queue),
    )


def make_destination(destination: tree.DicomDestination | tree.FolderDestination, ae_title: str) -> Destination:
    """The destination that a section of the settings describes; `ae_title` is our own."""
    if isinstance(destination, tree.FolderDestination):
        return FolderDestination(name=destination.name, folder=destination.folder)
    peer = make_peer(destination, calling_ae_title=ae_title, section=f"destinations.{destination.name}")
    committer = DicomCommitter(peer=peer) if destination.commitment else None
    return DicomDestination(name=destination.name, peer=peer, committer=committer)


def make_dispatcher(settings: Settings, tasks: Tasks, *, done: Callable[[], None]) -> Dispatcher:
    """Threads of this process that do `tasks` and call `done` after each reading, or Celery where there is a broker."""
    if settings.queue.broker_url is None:
        return ThreadDispatcher(tasks, read_threads=settings.reader.threads, done=done)
    return _queues(settings, settings.queue.broker_url.get_secret_value())


def _queues(settings: Settings, broker_url: str) -> Dispatcher:
    from dicom_node.work.celery_app import CeleryDispatcher, make_app

    app = make_app(broker_url, visibility_timeout_s=_VISIBILITY_TIMEOUT_S)
    return CeleryDispatcher(app, resend_s=settings.work.lease_s / 2)


def make_sweeper(
    settings: Settings, *, ledger: Ledger, readers: Readers, dispatcher: Dispatcher, publisher: Publisher | None = None
) -> Sweeper:
    """What has the work done that is due; with a broker, one of all nodes and beats at a time."""
    turn = None
    if settings.queue.broker_url is not None:
        lease_s = max(_SHORTEST_TURN_S, 3 * settings.work.sweep_interval_s)
        turn = SweepTurn(ledger, owner=owner(), clock=utc_now, lease_s=lease_s)
    due = WithOutdated(ledger, reader_digest=lambda: readers.current().digest)
    return Sweeper(
        due if publisher is None else WithPublished(due, publisher),
        dispatcher,
        clock=utc_now,
        interval_s=settings.work.sweep_interval_s,
        turn=turn,
    )


@contextmanager
def make_beat(settings: Settings, broker_url: str) -> Generator[None]:
    """A sweeper alone, from the beginning of the block to its end."""
    ledger, engine = open_ledger(settings)
    dispatcher = _queues(settings, broker_url)
    sweeper = make_sweeper(settings, ledger=ledger, readers=make_readers(settings), dispatcher=dispatcher)
    sweeper.start()
    try:
        yield
    finally:
        sweeper.stop()
        dispatcher.close()
        engine.dispose()


def make_worker_app(settings: Settings, broker_url: str, *, forks: bool) -> "Celery":
    """A Celery application with its tasks; what they need is built in the process that runs them, once.

    That is this one, now, unless it `forks`: then bundle and ledger are only looked at. Raises what is wrong with them.
    """
    from dicom_node.work.celery_app import add_tasks, make_app

    app = make_app(broker_url, visibility_timeout_s=_VISIBILITY_TIMEOUT_S)

    building = threading.Lock()

    @cache
    def built() -> tuple[Pipeline, Ledger]:
        ledger, _ = open_ledger(settings)
        readers = make_readers(settings)
        readers.current()  # what is wrong with the bundle, or with the device, is wrong now
        return make_pipeline(settings, ledger=ledger, files=make_files(settings), readers=readers), ledger

    def here() -> tuple[Pipeline, Ledger]:
        with building:  # threads of a worker share one, and so its batches
            return built()

    add_tasks(app, lambda: here()[0], ready=lambda series: here()[1].due_deliveries_of(series, utc_now()))
    if forks:
        bundle_source(settings.reader.bundle).current()
        _, engine = open_ledger(settings)
        engine.dispose()  # no process that is forked may share its connections
    else:
        here()
    return app
