"""`mrclip doctor` on certificates: which have ended, which soon will, and which cannot be read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dicom_node.doctor.certificates import check_certificates
from dicom_node.doctor.peers import ask_destination
from dicom_node.settings import CommitmentPeer, CommitmentSettings, DicomDestination, PeerTls, Settings

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def certificate(path: Path, *, begin: datetime, end: datetime) -> Path:
    """A self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
    made = made.serial_number(1).not_valid_before(begin).not_valid_after(end)
    path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


def found(path: Path) -> tuple[str, str]:
    settings = Settings(scp={"tls": {"certificate": path, "key": path}})  # type: ignore[arg-type]
    (check,) = check_certificates(settings, NOW)
    assert check.name == "certificate scp.tls.certificate"
    return check.state, check.message


@pytest.mark.parametrize(
    ("begin_day", "end_day", "state", "message"),
    [
        (-10, 100, "ok", "is valid until 2026-06-09"),
        (-10, 20, "warning", "ends on 2026-03-21"),
        (-10, -1, "broken", "ended on 2026-02-28"),
        (2, 100, "broken", "begins on 2026-03-03"),
    ],
)
def test_a_certificate_is_judged_by_its_days(
    tmp_path: Path, begin_day: int, end_day: int, state: str, message: str
) -> None:
    path = certificate(tmp_path / "node.pem", begin=NOW + timedelta(days=begin_day), end=NOW + timedelta(days=end_day))
    assert found(path) == (state, message)


def test_of_several_in_a_file_the_first_that_ends_counts(tmp_path: Path) -> None:
    late = certificate(tmp_path / "late.pem", begin=NOW, end=NOW + timedelta(days=400))
    early = certificate(tmp_path / "early.pem", begin=NOW, end=NOW + timedelta(days=5))
    late.write_bytes(late.read_bytes() + early.read_bytes())
    assert found(late)[0] == "warning"


def test_a_file_that_is_none_or_is_not_there_is_broken(tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    assert found(tmp_path / "text.pem")[0] == "broken"
    assert found(tmp_path / "absent.pem")[0] == "broken"


def test_those_of_destinations_are_looked_at_and_a_wrong_one_is_a_fault_of_its_destination(tmp_path: Path) -> None:
    tls = PeerTls(ca=tmp_path / "absent.pem")
    peer = DicomDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104, tls=tls)
    (check,) = check_certificates(Settings(destinations=(peer,)), NOW)
    assert (check.name, check.state) == ("certificate destinations.pacs.tls.ca", "broken")
    (asked,) = ask_destination(peer, "MRCLIP").checks
    assert (asked.state, "absent.pem" in asked.message) == ("broken", True)


def test_those_of_commitment_peers_are_looked_at(tmp_path: Path) -> None:
    tls = PeerTls(ca=tmp_path / "absent.pem")
    peer = CommitmentPeer(ae_title="SCANNER", host="127.0.0.1", port=104, tls=tls)
    (check,) = check_certificates(Settings(commitment=CommitmentSettings(peers=(peer,))), NOW)
    assert (check.name, check.state) == ("certificate commitment.peers.0.tls.ca", "broken")
