from datetime import timedelta

import pytest

from cdn_pusher.domain.errors import DeliveryError
from cdn_pusher.domain.pem import HaproxyPem, read_pem
from cdn_pusher.domain.preflight import Objection, file_name, objection
from certcore.events import DeploymentOrdered
from tests.authority import Authority, Issued
from tests.unit.cdn_pusher.orders import NOON, order

AUTHORITY = Authority()


def issue(*names: str) -> Issued:
    return AUTHORITY.issue(*names, not_before=NOON - timedelta(days=1), not_after=NOON + timedelta(days=1))


def pem_of(issued: Issued) -> HaproxyPem:
    return read_pem((issued.chain_pem + issued.key_pem).encode())


def ordered(issued: Issued, *names: str) -> DeploymentOrdered:
    return order(serial=issued.serial, fingerprint_sha256=issued.fingerprint, dns_names=names)


def test_what_was_ordered_passes() -> None:
    issued = issue("shop.example.org", "www.example.org")
    assert objection(pem_of(issued), ordered(issued, "SHOP.example.org"), now=NOON) is None


def test_another_certificate_is_refused() -> None:
    issued, other = issue("shop.example.org"), issue("shop.example.org")
    found = objection(pem_of(issued), ordered(other, "shop.example.org"), now=NOON)
    assert found is Objection.OTHER_CERTIFICATE


def test_a_missing_name_is_refused() -> None:
    issued = issue("shop.example.org")
    found = objection(pem_of(issued), ordered(issued, "shop.example.org", "www.example.org"), now=NOON)
    assert found is Objection.NAMES_MISSING


@pytest.mark.parametrize(("days", "expected"), [(-2, Objection.NOT_YET_VALID), (1, Objection.EXPIRED)])
def test_only_a_valid_certificate_is_pushed(days: int, expected: Objection) -> None:
    issued = issue("shop.example.org")
    now = NOON + timedelta(days=days)
    assert objection(pem_of(issued), ordered(issued, "shop.example.org"), now=now) is expected


@pytest.mark.parametrize("name", ["../../etc/passwd", "a b", "a\nset ssl cert", "", "A", "x" * 64])
def test_a_name_that_could_be_a_path_or_a_command_is_refused(name: str) -> None:
    with pytest.raises(DeliveryError, match="no certificate name"):
        file_name(name)


def test_a_name_becomes_a_file() -> None:
    assert file_name("shop-checkout") == "shop-checkout.pem"
