"""DICOM over TLS with DCMTK on the other side, certificates made here, and everybody who must be turned away."""

import socket
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pynetdicom import AE, evt

from dicom_factory import mr_image, write
from dicom_node.commitment import PUSH_MODEL, Reference, Request
from dicom_node.deliver.scu import Peer
from dicom_node.errors import SettingsError
from dicom_node.ledger.store import Ledger
from dicom_node.receive.spool import Spool
from dicom_node.receive.storage_classes import VERIFICATION
from dicom_node.send import send
from dicom_node.settings import CommitmentPeer, CommitmentSettings, PeerTls, ServerTls, Settings
from dicom_node.tls import CIPHERS, client_context, server_context
from dicom_node.wiring_receive import make_reporter
from peers import free_port, listens, program, running

Start = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Pki:
    """An authority and what it signed: certificates and keys for localhost, by name."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"


def openssl(*arguments: object) -> None:
    subprocess.run([program("openssl"), *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """`node` and `scanner` are signed by the authority, `stranger` by itself."""
    made = Pki(folder=tmp_path_factory.mktemp("pki"))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for name in ("ca", "stranger"):
        openssl("req", "-x509", *curve, "-subj", f"/CN={name}", "-days", 2, "-keyout", made.key(name),
                "-out", made.certificate(name))  # fmt: skip
    (made.folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    for name in ("node", "scanner"):
        request = made.folder / f"{name}.csr"
        openssl("req", *curve, "-subj", f"/CN={name}", "-keyout", made.key(name), "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", made.ca, "-CAkey", made.key("ca"), "-CAcreateserial",
                "-days", 2, "-extfile", made.folder / "names", "-out", made.certificate(name))  # fmt: skip
    return made


def server(pki: Pki, **changes: Any) -> dict[str, Any]:
    chosen = {"certificate": pki.certificate("node"), "key": pki.key("node"), "client_ca": pki.ca}
    return chosen | changes


def dcmtk(name: str, port: int, *arguments: object) -> int:
    command = [program(name), "-to", "10", "-aec", "MRCLIP", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode


@pytest.mark.peer("openssl", "storescu")
@pytest.mark.parametrize("minimum", ["1.2", "1.3"])
def test_dcmtk_sends_with_a_certificate(receiver: Start, tmp_path: Path, pki: Pki, minimum: str):
    node = receiver(tls=server(pki, minimum_version=minimum))
    # Several PDUs of several TLS records each, so that half of one may be all there is.
    image = mr_image(pixels=np.arange(400 * 400, dtype=np.uint16).reshape(400, 400))
    path = write(image, tmp_path / "image.dcm")
    credentials = ["+tls", pki.key("scanner"), pki.certificate("scanner"), "+cf", pki.ca]
    assert dcmtk("storescu", node.port, *credentials, "localhost", node.port, path) == 0
    (stored,) = (node.spool.root / "instances").rglob("*.dcm")
    assert dcmread(stored) == image


@pytest.mark.peer("openssl", "echoscu")
def test_who_has_no_certificate_of_the_authority_is_turned_away(receiver: Start, pki: Pki):
    node = receiver(tls=server(pki))
    address = ("localhost", node.port)
    assert dcmtk("echoscu", node.port, *address) != 0  # without TLS
    assert dcmtk("echoscu", node.port, "+tla", "-ic", *address) != 0  # without a certificate
    stranger = ["+tls", pki.key("stranger"), pki.certificate("stranger"), "-ic"]
    assert dcmtk("echoscu", node.port, *stranger, *address) != 0
    known = ["+tls", pki.key("scanner"), pki.certificate("scanner"), "+cf", pki.ca]
    assert dcmtk("echoscu", node.port, *known, *address) == 0


@pytest.mark.peer("openssl", "echoscu")
@pytest.mark.parametrize("changes", [{"client_ca": None}, {"require_client_certificate": False}])
def test_certificates_of_clients_may_be_left_out(receiver: Start, pki: Pki, changes: dict[str, Any]):
    node = receiver(tls=server(pki, **changes))
    assert dcmtk("echoscu", node.port, "+tla", "+cf", pki.ca, "localhost", node.port) == 0


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("weakness", ["version", "cipher"])
def test_what_bcp_195_forbids_is_not_spoken(receiver: Start, pki: Pki, weakness: str):
    node = receiver(tls=server(pki, client_ca=None))
    context = ssl.create_default_context(cafile=str(pki.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if weakness == "cipher":
        context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")  # CBC
    else:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="deprecated"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", node.port), timeout=10) as link,
        pytest.raises(ssl.SSLError),
        context.wrap_socket(link, server_hostname="localhost"),
    ):
        pass


@pytest.mark.peer("openssl")
def test_silent_clients_hold_up_nobody(receiver: Start, pki: Pki):
    node = receiver(tls=server(pki), max_connections_per_peer=10)
    trusted = PeerTls(ca=pki.ca, certificate=pki.certificate("scanner"), key=pki.key("scanner"))
    silent = [socket.create_connection(("127.0.0.1", node.port), timeout=10) for _ in range(8)]
    entity = AE()
    entity.add_requested_context(VERIFICATION)
    tls = (client_context(trusted, section="test"), "localhost")
    association = entity.associate("127.0.0.1", node.port, ae_title="MRCLIP", tls_args=tls)
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()
    for link in silent:
        link.close()


@pytest.mark.peer("openssl", "storescp")
@pytest.mark.parametrize("trusts", [True, False])
def test_we_send_to_dcmtk_over_tls_and_to_nobody_we_do_not_trust(tmp_path: Path, pki: Pki, trusts: bool):
    path, port = write(mr_image(), tmp_path / "image.dcm"), free_port()
    received = tmp_path / "received"
    received.mkdir()
    command = [program("storescp"), "+tls", str(pki.key("node")), str(pki.certificate("node")), "+cf", str(pki.ca),
               "-od", str(received), str(port)]  # fmt: skip
    ca = pki.ca if trusts else pki.certificate("stranger")
    tls = PeerTls(ca=ca, certificate=pki.certificate("scanner"), key=pki.key("scanner"))
    with running(command, log=tmp_path / "storescp.log", ready=lambda: listens(port)):
        peer = Peer(ae_title="ANY", host="127.0.0.1", port=port, tls=client_context(tls, section="test"))
        result = send([path], peer)
    assert result.complete is trusts
    assert len(list(received.iterdir())) == result.sent


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("trusts", [True, False])
def test_answers_of_storage_commitment_go_over_tls(ledger: Ledger, tmp_path: Path, pki: Pki, trusts: bool):
    now, told = datetime.now(UTC), list[str]()

    def tell(event: evt.Event) -> tuple[int, None]:
        told.append(str(event.event_information.TransactionUID))
        return 0x0000, None

    entity = AE(ae_title="SCANNER")
    entity.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, tell)],
        ssl_context=server_context(ServerTls(certificate=pki.certificate("node"), key=pki.key("node"))),
    )  # fmt: skip
    assert server is not None
    tls = PeerTls(ca=pki.ca if trusts else pki.certificate("stranger"), server_name="localhost")
    peer = CommitmentPeer(ae_title="SCANNER", host="127.0.0.1", port=server.socket.getsockname()[1], tls=tls)
    settings = Settings(commitment=CommitmentSettings(peers=(peer,)))
    try:
        asked = Request(transaction_uid="2.25.7", references=(Reference(sop_class_uid="1.2", sop_instance_uid="1.3"),))
        ledger.request_commitment("SCANNER", asked, now=now, due_at=now)
        assert make_reporter(settings, ledger=ledger, spool=Spool(tmp_path / "spool")).sweep() == 1
    finally:
        server.shutdown()
    assert told == (["2.25.7"] if trusts else [])


@pytest.mark.peer("openssl")
def test_only_suites_of_the_profile_are_offered(pki: Pki):
    context = server_context(ServerTls(certificate=pki.certificate("node"), key=pki.key("node")))
    offered = {one["name"] for one in context.get_ciphers() if one["protocol"] != "TLSv1.3"}
    assert offered == set(CIPHERS)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.peer("openssl")
def test_files_that_are_no_certificates_are_errors_with_their_key(pki: Pki, tmp_path: Path):
    with pytest.raises(SettingsError, match=r"scp\.tls: .*node\.pem and .*ca\.key"):
        server_context(ServerTls(certificate=pki.certificate("node"), key=pki.key("ca")))
    with pytest.raises(SettingsError, match=r"scp\.tls\.client_ca: .* holds no certificates"):
        server_context(ServerTls(**server(pki, client_ca=pki.key("ca"))))
    with pytest.raises(SettingsError, match=r"destinations\.pacs\.tls\.ca: .*No such file"):
        client_context(PeerTls(ca=tmp_path / "none.pem"), section="destinations.pacs.tls")
