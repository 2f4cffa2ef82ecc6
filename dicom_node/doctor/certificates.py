"""The certificates that the settings name: which are not valid, and which soon will not be."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from dicom_node.doctor import Check, broken, ok, warning
from dicom_node.settings import FolderDestination, Settings

_SOON: Final = timedelta(days=30)
_RENEW: Final = "Have it renewed by whoever signs certificates here, put the new file there, and restart the node."


def check_certificates(settings: Settings, now: datetime) -> Iterator[Check]:
    """Each file with certificates; of several in one file the first that ends counts."""
    for name, path in _files(settings):
        try:
            found = x509.load_pem_x509_certificates(path.read_bytes())
        except (OSError, ValueError) as error:
            yield broken(
                f"certificate {name}",
                f"{path} cannot be read ({type(error).__name__})",
                "Correct its path or its rights.",
            )
        else:
            begin = max(one.not_valid_before_utc for one in found)
            yield _check(f"certificate {name}", begin, min(one.not_valid_after_utc for one in found), now)


def _check(name: str, begin: datetime, end: datetime, now: datetime) -> Check:
    if end <= now:
        return broken(name, f"ended on {end:%Y-%m-%d}", _RENEW)
    if begin > now:
        return broken(name, f"begins on {begin:%Y-%m-%d}", "Is the clock right? If it is, use it from then on.")
    if end <= now + _SOON:
        return warning(name, f"ends on {end:%Y-%m-%d}", _RENEW)
    return ok(name, f"is valid until {end:%Y-%m-%d}")


def _files(settings: Settings) -> Iterator[tuple[str, Path]]:
    if settings.scp.tls is not None:
        yield "scp.tls.certificate", settings.scp.tls.certificate
        if settings.scp.tls.client_ca is not None:
            yield "scp.tls.client_ca", settings.scp.tls.client_ca
    destinations = ((f"destinations.{one.name}", one) for one in settings.destinations)
    peers = ((f"commitment.peers.{place}", one) for place, one in enumerate(settings.commitment.peers))
    for name, one in (*destinations, *peers):
        if not isinstance(one, FolderDestination) and one.tls is not None:
            for key, path in (("ca", one.tls.ca), ("certificate", one.tls.certificate)):
                if path is not None:
                    yield f"{name}.tls.{key}", path
