from dataclasses import replace
from datetime import timedelta

import pytest

from certcore.targets import KeyHolder
from certdelivery.leaf import Objection, objection
from tests.issuing import NOON, Authority, target, wanted_for

AUTHORITY = Authority()
ISSUED = AUTHORITY.issue(days=1)
BUNDLE = ISSUED.bundle(1)
WANTED = wanted_for(ISSUED, 1, target("shelf", "web"))
PLATFORM = KeyHolder.PLATFORM


def test_what_was_ordered_passes() -> None:
    assert objection(BUNDLE, WANTED, key_holder=PLATFORM, now=NOON) is None
    spelled = replace(WANTED, serial=f"00{WANTED.serial.upper()}")
    assert objection(BUNDLE, spelled, key_holder=PLATFORM, now=NOON) is None


def test_another_certificate_is_refused() -> None:
    other = wanted_for(AUTHORITY.issue(), 1, target("shelf", "web"))
    assert objection(BUNDLE, other, key_holder=PLATFORM, now=NOON) is Objection.OTHER_CERTIFICATE
    renumbered = replace(WANTED, serial="1")
    assert objection(BUNDLE, renumbered, key_holder=PLATFORM, now=NOON) is Objection.OTHER_SERIAL


def test_a_certificate_for_no_name_is_refused() -> None:
    nameless = replace(BUNDLE, chain=(replace(BUNDLE.leaf, dns_names=()), *BUNDLE.chain[1:]))
    assert objection(nameless, WANTED, key_holder=PLATFORM, now=NOON) is Objection.NO_NAMES


def test_a_bundle_without_a_key_is_for_a_target_that_made_its_own() -> None:
    keyless = replace(BUNDLE, key_pem=None)
    assert objection(keyless, WANTED, key_holder=PLATFORM, now=NOON) is Objection.NO_KEY
    assert objection(keyless, WANTED, key_holder=KeyHolder.TARGET, now=NOON) is None


@pytest.mark.parametrize(("days", "expected"), [(-2, Objection.NOT_YET_VALID), (1, Objection.EXPIRED)])
def test_only_a_valid_certificate_is_delivered(days: int, expected: Objection) -> None:
    now = NOON + timedelta(days=days)
    assert objection(BUNDLE, WANTED, key_holder=PLATFORM, now=now) is expected
