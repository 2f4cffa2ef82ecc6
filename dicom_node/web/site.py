"""What the web part is given, and how a request gets at it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Request

from dicom_node.ledger.store import Ledger
from dicom_node.receive.quarantine import Quarantine
from dicom_node.receive.spool import Spool
from dicom_node.settings import WebSettings
from dicom_node.web.metrics import Metrics


@dataclass(frozen=True, kw_only=True)
class Site:
    """Everything that answers a request; built in `dicom_node.wiring`."""

    ledger: Ledger
    spool: Spool
    quarantine: Quarantine
    metrics: Metrics
    bundle: Callable[[], object]  # raises ValueError if the bundle that would read next is not whole
    clock: Callable[[], datetime]
    settings: WebSettings


def _site(request: Request) -> Site:
    return cast("Site", request.app.state.site)


TheSite = Annotated[Site, Depends(_site)]
