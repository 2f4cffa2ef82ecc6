"""Where the objects that receive are built from settings: a process that serves associations imports nothing else."""

from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Engine

from dicom_node.commitment.reporter import Reporter, ReportPolicy
from dicom_node.commitment.scp import CommitmentScp
from dicom_node.deliver import back_off
from dicom_node.deliver.scu import Peer
from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.records import LIVE, Priority
from dicom_node.ledger.store import Ledger
from dicom_node.receive.intake import ArrivalLedger, Intake, QuietTimes
from dicom_node.receive.quarantine import Quarantine
from dicom_node.receive.recorder import InstanceLedger, Recorder
from dicom_node.receive.spool import Spool
from dicom_node.settings import CommitmentPeer, DicomDestination, Settings
from dicom_node.tls import client_context


def utc_now() -> datetime:
    """The clock of everything that is wired here."""
    return datetime.now(UTC)


def reach_ledger(settings: Settings) -> tuple[Ledger, Engine]:
    """The ledger, whose schema somebody else brought up to date."""
    engine = open_engine(settings.database_url, busy_timeout_s=settings.ledger.busy_timeout_s)
    pace_s = {one.name: 60 / one.per_minute for one in settings.destinations if one.per_minute is not None}
    return Ledger(engine, max_attempts=settings.work.reading_max_attempts, pace_s=pace_s), engine


def open_spool(settings: Settings, *, settled: bool = True) -> Spool:
    """The spool; made where it does not exist. Without `settled` only for an intake that has a recorder."""
    return Spool(settings.spool.path, reserve_bytes=settings.spool.reserve_bytes, settled=settled)


def make_recorder(settings: Settings, *, ledger: InstanceLedger, spool: Spool) -> Recorder:
    """What writes rows of instances, many at once, and settles the spool before."""
    # Only with the row of an instance it is known whether it is to be refused.
    patient = settings.scp.duplicates == "refuse"
    return Recorder(ledger, set_aside=spool.set_aside, settle=spool.settle, patient=patient)


def make_intake(settings: Settings, *, ledger: ArrivalLedger, spool: Spool, priority: Priority = LIVE) -> Intake:
    """The way of instances into the node."""
    quiet = QuietTimes(quiet_s=settings.series.quiet_s, quiet_after_release_s=settings.series.quiet_after_release_s)
    return Intake(
        ledger=ledger, spool=spool, quarantine=Quarantine(spool.root), quiet=quiet, clock=utc_now, priority=priority
    )


def make_peer(named: DicomDestination | CommitmentPeer, *, calling_ae_title: str, section: str) -> Peer:
    """A peer that we call, by `section` of the settings. SettingsError where its certificates are wrong."""
    tls = named.tls
    return Peer(
        ae_title=named.ae_title,
        host=named.host,
        port=named.port,
        calling_ae_title=calling_ae_title,
        tls=None if tls is None else client_context(tls, section=f"{section}.tls"),
        tls_name=None if tls is None else tls.server_name,
    )


def make_reporter(settings: Settings, *, ledger: Ledger, spool: Spool) -> Reporter:
    """What tells senders whether what they sent is safe."""
    work = settings.work
    return Reporter(
        ledger=ledger,
        spool=spool,
        peers={
            one.ae_title: make_peer(one, calling_ae_title=settings.scp.ae_title, section=f"commitment.peers.{place}")
            for place, one in enumerate(settings.commitment.peers)
        },
        policy=ReportPolicy(
            interval_s=work.sweep_interval_s,
            retry_s=work.retry_s,
            retry_max_s=work.retry_max_s,
            max_attempts=work.delivery_max_attempts,
        ),
        clock=utc_now,
    )


def make_commitment_scp(settings: Settings, *, ledger: Ledger, reporter: Reporter, recorder: Recorder) -> CommitmentScp:
    """The messages of Storage Commitment on our own port: questions of senders, answers of destinations."""
    return CommitmentScp(
        ledger=ledger,
        reporter=reporter,
        clock=utc_now,
        answering=settings.commitment.enabled,
        pause_s=partial(back_off, first_s=settings.work.retry_s, longest_s=settings.commitment.answer_s),
        settle=recorder.flush,
    )
