"""TLS for DICOM: contexts after the BCP 195 profile (PS3.15 B.12; RFC 9325): TLS 1.2 or newer, forward secrecy, AEAD.

Compression and renegotiation are off in OpenSSL as Python builds its contexts; TLS 1.3 brings suites of its own, all
of them in the profile.
"""

import ssl
from pathlib import Path
from typing import Final

from dicom_node.errors import SettingsError
from dicom_node.settings import PeerTls, ServerTls

# RFC 9325 4.2 for TLS 1.2: ECDHE with AES-GCM, and the ChaCha20 suites that peers without AES in hardware prefer.
CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """For the port that peers connect to. SettingsError where a file is missing or is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.minimum_version]
    context.set_ciphers(":".join(CIPHERS))
    _load_own(context, tls.certificate, tls.key, "scp.tls")
    if tls.client_ca is not None:
        _load_authorities(context, tls.client_ca, "scp.tls.client_ca")
        context.verify_mode = ssl.CERT_REQUIRED if tls.require_client_certificate else ssl.CERT_OPTIONAL
    return context


def client_context(tls: PeerTls, *, section: str) -> ssl.SSLContext:
    """For associations with a peer, whose certificate must be of its host. `section` of the settings is in errors."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _VERSIONS[tls.minimum_version]
    context.set_ciphers(":".join(CIPHERS))
    if tls.ca is None:
        context.load_default_certs()
    else:
        _load_authorities(context, tls.ca, f"{section}.ca")
    if tls.certificate is not None and tls.key is not None:
        _load_own(context, tls.certificate, tls.key, section)
    return context


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path, section: str) -> None:
    try:
        # Without a password it would be asked for on a terminal that a service does not have.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise SettingsError(
            f"{section}: {certificate} and {key} are no certificate and its key ({_why(error)})"
        ) from None


def _load_authorities(context: ssl.SSLContext, file: Path, key: str) -> None:
    try:
        context.load_verify_locations(cafile=file)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{key}: {file} holds no certificates ({_why(error)})") from None


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(reason or type(error).__name__)
