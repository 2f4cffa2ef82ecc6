"""Everybody the node talks to, asked now: DICOM peers, folders, the broker, Orthancs, and the node itself."""

# redis annotates some of its arguments with nothing.
# pyright: reportUnknownMemberType=false

import os
import socket
import ssl
import time
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from dicom_node.addresses import shown_url
from dicom_node.deliver import DeliveryError
from dicom_node.deliver.scu import Peer, association
from dicom_node.doctor import Check, broken, cannot_look, ok, warning
from dicom_node.errors import SettingsError
from dicom_node.exchange.store import INSTANCES, ObjectStore, StoreError
from dicom_node.receive.storage_classes import VERIFICATION
from dicom_node.settings import (
    DicomDestination,
    FolderDestination,
    OrthancSource,
    QueueSettings,
    ScpSettings,
    SpoolSettings,
)
from dicom_node.tls import client_context
from dicom_node.work.broker import BrokerAwayError, ask

_TIMEOUT_S: Final = 5.0
_EVERY_ADDRESS: Final = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What asking one of them came to."""

    checks: tuple[Check, ...]
    server: str | None = None  # the server whose clock was seen ...
    ahead_s: float | None = None  # ... and how far this machine's is ahead of it


def ask_destination(destination: DicomDestination, ae_title: str) -> Answer:
    """C-ECHO, and whether it would take a report; `ae_title` is our own."""
    name = f"destination {destination.name}"
    try:
        peer = _peer(destination, ae_title)
    except SettingsError as error:
        return Answer(checks=(broken(name, str(error), "Correct the files that its `tls` names, or their rights."),))
    uncompressed = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    contexts = [build_context(uid, list(uncompressed)) for uid in (VERIFICATION, Comprehensive3DSRStorage)]
    try:
        with association(peer, contexts) as link:
            return Answer(checks=(_answered(name, peer, link),))
    except DeliveryError as error:
        advice = (
            f"Is it running, do address and port agree with its own, may this machine reach it, and does it know "
            f"{ae_title} (and this machine's address) as a sender?"
        )
        return Answer(checks=(broken(name, str(error), advice),))


def _answered(name: str, peer: Peer, link: Association) -> Check:
    accepted = {context.abstract_syntax for context in link.accepted_contexts}
    if Comprehensive3DSRStorage not in accepted:
        return broken(
            name,
            f"{peer} answers, but does not accept Comprehensive 3D SR Storage ({Comprehensive3DSRStorage})",
            "Reports cannot be delivered: enable this SOP class there, or deliver to another archive.",
        )
    if VERIFICATION not in accepted:
        return ok(name, f"{peer} accepts reports (and no C-ECHO)")
    try:
        status = link.send_c_echo().get("Status")
    except RuntimeError:
        status = None
    if status != 0x0000:
        said = "nothing" if status is None else f"status 0x{status:04X}"
        return broken(name, f"{peer} answers C-ECHO with {said}", "Its own log says why.")
    return ok(name, f"{peer} echoes and accepts reports")


def ask_folder(destination: FolderDestination) -> Answer:
    """Whether a folder can be written or made."""
    name, folder = f"destination {destination.name}", destination.folder.absolute()
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
    except OSError as error:  # below a folder that this user may not enter
        return Answer(checks=(cannot_look(name, folder, error),))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        advice = "Mount it, correct `folder`, or give the user that runs the node the right to write there."
        return Answer(checks=(broken(name, f"{there} is no folder that can be written", advice),))
    return Answer(checks=(ok(name, f"{folder} {'can be written' if there == folder else 'can be made'}"),))


def ask_node(scp: ScpSettings) -> Answer:
    """Whether our own port answers as a DICOM peer."""
    host = "127.0.0.1" if scp.host in _EVERY_ADDRESS else scp.host
    if scp.port == 0:
        return Answer(checks=(ok("node", "takes any free port (scp.port: 0); not asked"),))
    where = f"port {scp.port}"
    if not _listens(host, scp.port):
        found = f"nothing listens on {where}: the node does not run"
        return Answer(checks=(warning("node", found, "Start it: systemctl start mrclip, or mrclip serve."),))
    if scp.tls is not None:  # it may want a certificate that we do not have
        return Answer(checks=(ok("node", f"listens on {where} with TLS; not asked for an echo"),))
    calling = scp.calling_ae_titles[0] if scp.calling_ae_titles else scp.ae_title
    peer = Peer(ae_title=scp.ae_title, host=host, port=scp.port, calling_ae_title=calling, response_s=_TIMEOUT_S)
    try:
        with association(peer, [build_context(VERIFICATION)]) as link:
            link.send_c_echo()
    except DeliveryError as error:
        advice = (
            f"Another program may have the port (`ss -ltnp sport = :{scp.port}`), or the node is stuck: its log says."
        )
        return Answer(checks=(broken("node", str(error), advice),))
    return Answer(checks=(ok("node", f"{scp.ae_title} echoes on {where}"),))


def ask_broker(queue: QueueSettings) -> Answer:
    """PING of the broker, and whether workers listen to it."""
    if queue.broker_url is None:
        return Answer(checks=(ok("broker", "none is set; threads of the node do the work"),))
    try:
        clock_s = ask(queue.broker_url, timeout_s=_TIMEOUT_S)
    except BrokerAwayError as error:
        advice = "Is Redis running, and is queue.broker_url right? Meanwhile series are received and wait."
        return Answer(checks=(broken("broker", str(error), advice),))
    ahead_s = time.time() - clock_s
    checks = (ok("broker", f"{shown_url(queue.broker_url)} answers"), _workers(queue.broker_url.get_secret_value()))
    return Answer(checks=checks, server="the broker", ahead_s=ahead_s)


def _workers(url: str) -> Check:
    from dicom_node.work.celery_app import QUEUES, make_app

    with make_app(url, visibility_timeout_s=60) as app:
        answers = app.control.broadcast("active_queues", reply=True, timeout=2.0) or ()
    served = Counter(queue["name"] for answer in answers for queues in answer.values() for queue in queues)
    idle = [name for name in QUEUES if not served[name]]
    found = f"{len(answers)} answer; " + ", ".join(f"queue {name}: {served[name]}" for name in QUEUES)
    if not idle:
        return ok("workers", found)
    advice = f"Start one: mrclip worker --queues {','.join(idle)}. One that is reading may answer late."
    return warning("workers", found if answers else "none answers", advice)


def ask_store(spool: SpoolSettings) -> Answer:
    """Whether the object store between nodes and workers lets us list it."""
    if spool.url is None:
        return Answer(checks=(ok("object store", "none is set; workers share the folder of the spool"),))
    try:
        store = ObjectStore(spool.url.get_secret_value())
    except SettingsError as error:
        advice = "Correct spool.url, or install what it needs: pip install 'mrclip[store]' (S3)."
        return Answer(checks=(broken("object store", str(error), advice),))
    try:
        store.names(INSTANCES)
    except StoreError as error:
        advice = (
            "Is it running, is spool.url right, and does the environment of the node and of each worker have its "
            "credentials (AWS_ACCESS_KEY_ID, ...) and address (AWS_ENDPOINT_URL)? Meanwhile series wait."
        )
        return Answer(checks=(broken("object store", str(error), advice),))
    return Answer(checks=(ok("object store", f"{store.label} can be listed"),))


def ask_orthanc(source: OrthancSource) -> Answer:
    """Whether an Orthanc that series are fetched from lets us in."""
    name, url = f"Orthanc {source.url}", urlsplit(source.url)
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    link, headers = kind(url.netloc.rpartition("@")[2], timeout=_TIMEOUT_S), dict[str, str]()
    if source.username is not None:
        password = "" if source.password is None else source.password.get_secret_value()
        headers["Authorization"] = f"Basic {b64encode(f'{source.username}:{password}'.encode()).decode()}"
    try:
        link.request("GET", f"{url.path.rstrip('/')}/system", headers=headers)
        answer = link.getresponse()
    except (OSError, UnicodeError, HTTPException) as error:  # of a host that can be no name, too
        kind_of_error = "its certificate is not trusted" if isinstance(error, ssl.SSLError) else type(error).__name__
        advice = "Is it running, and is the URL in web.orthancs right?"
        return Answer(checks=(broken(name, f"does not answer ({kind_of_error})", advice),))
    finally:
        link.close()
    return Answer(checks=(_let_in(name, answer.status),), server=name, ahead_s=_ahead_s(answer.getheader("Date")))


def _let_in(name: str, status: int) -> Check:
    if status in (401, 403):
        return broken(name, f"refuses us ({status})", "Correct username and password in web.orthancs.")
    if status != 200:
        return broken(name, f"answers with {status}", "The URL must be that of Orthanc's REST interface.")
    return ok(name, "answers")


def _ahead_s(date: str | None) -> float | None:
    try:
        return None if date is None else time.time() - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def _peer(destination: DicomDestination, ae_title: str) -> Peer:
    tls = destination.tls
    return Peer(
        ae_title=destination.ae_title,
        host=destination.host,
        port=destination.port,
        calling_ae_title=ae_title,
        connect_s=_TIMEOUT_S,
        association_s=2 * _TIMEOUT_S,
        response_s=2 * _TIMEOUT_S,
        tls=None if tls is None else client_context(tls, section=f"destinations.{destination.name}.tls"),
        tls_name=None if tls is None else tls.server_name,
    )


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S):
            return True
    except (OSError, UnicodeError):  # of a host that can be no name
        return False
