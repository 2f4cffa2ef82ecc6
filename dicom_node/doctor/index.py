"""The ledger: whether it answers, is of this version, and what in it waits for a person."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError, InternalError, OperationalError

from dicom_node.doctor import Check, broken, cannot_look, ok, warning
from dicom_node.errors import LedgerUnavailableError, SettingsError
from dicom_node.ledger.engine import Transactions, check_writable, open_engine
from dicom_node.ledger.migrations import revisions
from dicom_node.ledger.store import Ledger
from dicom_node.settings import Settings

_WAIT_S: Final = 5.0  # for the lock of a writer
_LATE: Final = timedelta(minutes=15)  # work that has been due for so long is done by nobody
_AHEAD: Final = timedelta(minutes=1)


def check_ledger(settings: Settings, now: datetime) -> Iterator[Check]:
    """Everything about the database; it is neither made nor migrated."""
    try:
        engine = open_engine(settings.database_url, busy_timeout_s=_WAIT_S)
    except SettingsError as error:
        advice = "Install what is missing, or correct ledger.database_url; docs/operating.md has examples."
        yield broken("ledger", str(error), advice)
        return
    try:
        # Looking with SQLite would make a file that is not there.
        if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").exists():
            yield _missing(settings)
        else:
            yield from _check(engine, now)
    except OSError as error:  # in a folder that this user may not enter
        yield cannot_look("ledger", Path(engine.url.database or ""), error)
    except LedgerUnavailableError as error:
        cause = error.__cause__
        if isinstance(cause, DatabaseError) and not isinstance(cause, OperationalError | InternalError):
            yield _faulty(type(cause.orig or cause).__name__)
        else:
            yield _unavailable(engine, str(error))
    finally:
        engine.dispose()


def _check(engine: Engine, now: datetime) -> Iterator[Check]:
    with Transactions(engine).write() as session:  # a writer's lock: without it the node could keep nothing
        check_writable(session)
        current, newest, known = revisions(session.connection())
    if current is not None and not known:
        yield broken(
            "ledger",
            f"its schema is {current}; this version of mrclip knows up to {newest}",
            "Install the version of mrclip that wrote it, or a newer one; or restore a back-up from before.",
        )
    elif current is None:
        yield ok("ledger", "answers and is empty; the first start makes its tables")
    elif current != newest:
        yield warning(
            "ledger",
            f"its schema is {current}; the next start brings it to {newest}",
            "Make a back-up of it before the next start; there is no way back but that.",
        )
    else:
        yield ok("ledger", f"answers and can be written; schema {newest}")
        yield from _work(Ledger(engine), now)


def _work(ledger: Ledger, now: datetime) -> Iterator[Check]:
    counts = ledger.counts()
    failed, dead = counts.series["quarantined"], counts.deliveries["dead"]
    if failed:
        yield warning(
            "series",
            f"{failed} series could not be read",
            "See why with `mrclip replay --dry-run`; then `mrclip replay`.",
        )
    else:
        yield ok("series", f"{sum(counts.series.values())} known, none given up")
    if dead:
        yield warning(
            "deliveries",
            f"{dead} reports could not be delivered",
            "See the reason on the page of the series; correct the destination, then `mrclip replay`.",
        )
    else:
        yield ok("deliveries", f"{counts.deliveries['delivered']} reports delivered, none given up")
    yield _questions(ledger.commitments_by_state()["dead"])
    yield from _late(ledger, now)
    newest = ledger.newest_arrival()
    if newest is not None and newest > now + _AHEAD:
        yield broken(
            "arrivals",
            f"the newest instance came {_minutes(newest - now)} from now",
            "The clock of this machine, or of another one that writes to the ledger, was or is wrong: set it (chrony).",
        )


def _questions(dead: int) -> Check:
    if not dead:
        return ok("commitments", "every sender that asked was answered, or will be")
    return warning(
        "commitments",
        f"{dead} times a sender asked whether its instances are safe and could not be answered",
        "Name the sender in commitment.peers with its address and port, then `mrclip replay`; or it asks again.",
    )


def _late(ledger: Ledger, now: datetime) -> Iterator[Check]:
    for work, since in ledger.oldest_due(now).items():
        if since is not None and now - since > _LATE:
            yield warning(
                f"{work} work",
                f"the oldest {work} has been due for {_minutes(now - since)}",
                "Does the node run, and its workers where there is a broker? If they do, they are too few.",
            )
        else:
            yield ok(f"{work} work", "none is late")
    for destination, since in ledger.undelivered_since().items():  # one that is tried again is due only later
        if now - since > _LATE:
            yield warning(
                f"reports for {destination}",
                f"the oldest has waited for {_minutes(now - since)}",
                f"Destination {destination} does not accept it: the page of its series says why.",
            )


def _missing(settings: Settings) -> Check:
    instances = settings.spool.path / "instances"
    if instances.is_dir() and any(instances.iterdir()):
        return warning(
            "ledger",
            "it is missing and the spool is not empty",
            "The next start builds it again from the spool, and delivers again. A back-up knows what was delivered.",
        )
    return ok("ledger", "is not there yet; the first start makes it")


def _unavailable(engine: Engine, reason: str) -> Check:
    if engine.dialect.name == "sqlite":
        return broken(
            "ledger",
            f"{reason} within {_WAIT_S:.0f} s",
            "Another process holds its lock, or this user may not write it: `fuser -v` and `ls -l` of it show who.",
        )
    return broken("ledger", reason, f"Is PostgreSQL at {engine.url.host} running, and is ledger.database_url right?")


def _faulty(kind: str) -> Check:
    return broken(
        "ledger",
        f"the database is not what it should be ({kind})",
        "Stop the node, move the ledger away and start: it is built again from the spool. Or restore a back-up.",
    )


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} min"
