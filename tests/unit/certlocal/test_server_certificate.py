import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store

from certlocal.server_certificate import server_certificate


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    first = server_certificate(tmp_path).certificate_file.read_bytes()

    assert server_certificate(tmp_path).certificate_file.read_bytes() == first


def test_its_key_fits_and_is_private(tmp_path: Path) -> None:
    made = server_certificate(tmp_path)
    certificate = x509.load_pem_x509_certificate(made.certificate_file.read_bytes())
    key = load_pem_private_key(made.key_file.read_bytes(), None)

    assert key.public_key() == certificate.public_key()
    assert stat.S_IMODE(made.key_file.stat().st_mode) == 0o600


def test_a_strict_client_trusts_it_for_localhost(tmp_path: Path) -> None:
    made = server_certificate(tmp_path)
    ca, certificate = (
        x509.load_pem_x509_certificate(path.read_bytes()) for path in (made.ca_file, made.certificate_file)
    )
    verifier = PolicyBuilder().store(Store([ca])).build_server_verifier(x509.DNSName("localhost"))

    assert verifier.verify(certificate, [])
