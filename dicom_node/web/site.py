"""What the web part is given, and how a request gets at it."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends, Request

from dicom_node.errors import SettingsError
from dicom_node.ledger.store import Ledger
from dicom_node.receive.fetch import Fetcher
from dicom_node.receive.files import write_whole
from dicom_node.receive.quarantine import Quarantine
from dicom_node.receive.spool import Spool
from dicom_node.settings import WebSettings
from dicom_node.web.accounts import Accounts
from dicom_node.web.metrics import Metrics
from inference.read import Reader
from inference.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Site:
    """Everything that answers a request; built in `dicom_node.wiring`."""

    ledger: Ledger
    spool: Spool
    quarantine: Quarantine
    metrics: Metrics
    reader: Callable[[], Reader]  # that would read next; raises one of READER_ERRORS if its bundle is not whole
    registry: Registry | None  # where its bundle comes from, if it comes from one
    clock: Callable[[], datetime]
    settings: WebSettings
    accounts: Accounts
    fetcher: Fetcher
    secret: str  # signs the sessions; see `secret`
    broker: Callable[[], object] | None = None  # raises BrokerAwayError; None where threads of the node do the work
    store: Callable[[], None] | None = None  # raises StoreError if the object store is away; None where there is none


def secret(file: Path) -> str:
    """The secret of the node's sessions, kept in `file` so that they outlive a restart; made where there is none.

    SettingsError where it cannot be read or made.
    """
    try:
        if not file.exists():
            write_whole(file, [secrets.token_urlsafe(32).encode()], replace=False, mode=0o600)
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise SettingsError(f"{file}: {why}; must be a file that the node's user may read, or not be there") from error


def _site(request: Request) -> Site:
    return cast("Site", request.app.state.site)


TheSite = Annotated[Site, Depends(_site)]
