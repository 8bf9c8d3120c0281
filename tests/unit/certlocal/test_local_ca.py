import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store

from certlocal.local_ca import LocalCa, Pair

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _at(folder: Path, time: datetime = _NOW) -> LocalCa:
    return LocalCa(folder, clock=lambda: time)


def _bytes(pair: Pair) -> tuple[bytes, bytes, bytes]:
    return pair.ca_file.read_bytes(), pair.certificate_file.read_bytes(), pair.key_file.read_bytes()


def _certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def test_what_was_made_once_is_kept(tmp_path: Path) -> None:
    first = _bytes(_at(tmp_path).server("registry"))
    assert _bytes(_at(tmp_path, _NOW + timedelta(days=200)).server("registry")) == first


def test_every_key_fits_and_is_private(tmp_path: Path) -> None:
    ca = _at(tmp_path)
    for pair in (ca.server("registry"), ca.client("registry")):
        key = load_pem_private_key(pair.key_file.read_bytes(), None)
        assert key.public_key() == _certificate(pair.certificate_file).public_key()
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("*.key")} == {0o600}


def test_a_strict_client_trusts_a_server_for_localhost(tmp_path: Path) -> None:
    pair = _at(tmp_path).server("registry")
    store = Store([_certificate(pair.ca_file)])
    verifier = PolicyBuilder().store(store).time(_NOW).build_server_verifier(x509.DNSName("localhost"))
    assert verifier.verify(_certificate(pair.certificate_file), [])


def test_a_strict_server_trusts_a_client_by_its_name(tmp_path: Path) -> None:
    pair = _at(tmp_path).client("site1-syncer")
    store = Store([_certificate(pair.ca_file)])
    client = (
        PolicyBuilder()
        .store(store)
        .time(_NOW)
        .build_client_verifier()
        .verify(_certificate(pair.certificate_file), [])
    )
    assert client.subjects == [x509.DNSName("site1-syncer")]


def test_a_certificate_with_less_than_a_third_of_its_life_left_is_replaced_and_the_ca_stays(tmp_path: Path) -> None:
    before = _at(tmp_path).server("registry")
    ca, certificate, _ = _bytes(before)
    later = _NOW + timedelta(days=250)
    after = _at(tmp_path, later).server("registry")
    assert after.ca_file.read_bytes() == ca
    assert after.certificate_file.read_bytes() != certificate
    assert _certificate(after.certificate_file).not_valid_after_utc > later + timedelta(days=300)


def test_a_new_ca_signs_everything_again(tmp_path: Path) -> None:
    _, certificate, _ = _bytes(_at(tmp_path).server("registry"))
    later = _at(tmp_path, _NOW + timedelta(days=2500))
    pair = later.server("registry")
    assert pair.certificate_file.read_bytes() != certificate
    _certificate(pair.certificate_file).verify_directly_issued_by(_certificate(pair.ca_file))


@pytest.mark.parametrize("damaged", ["registry.pem", "registry.key", "ca.pem", "ca.key"])
@pytest.mark.parametrize("how", ["missing", "empty", "of another"])
def test_what_is_damaged_is_made_again(tmp_path: Path, damaged: str, how: str) -> None:
    pair = _at(tmp_path).server("registry")
    file = tmp_path / damaged
    if how == "missing":
        file.unlink()
    else:
        other = _at(tmp_path / "other")
        other.server("registry")
        file.write_bytes(b"" if how == "empty" else (tmp_path / "other" / damaged).read_bytes())
    assert _at(tmp_path).server("registry") == pair
    ca, certificate = _certificate(pair.ca_file), _certificate(pair.certificate_file)
    certificate.verify_directly_issued_by(ca)
    assert load_pem_private_key(pair.key_file.read_bytes(), None).public_key() == certificate.public_key()
