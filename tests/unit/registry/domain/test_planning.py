"""The instant of a renewal: the same for the same certificate, and another for each."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.planning import latest, planned, renew_at, spread
from registry.domain.revision import Revision
from tests.unit.registry.samples import NOON, revision

DAY = timedelta(days=1)
lifetimes = st.timedeltas(timedelta(minutes=1), timedelta(days=400))


def of(certificate_id: str, number: int = 1, lifetime: timedelta = 90 * DAY) -> Revision:
    return replace(revision(number, lifetime=lifetime), certificate_id=certificate_id)


@given(st.text(min_size=1, max_size=36), st.integers(1, 9999), lifetimes)
def test_a_renewal_falls_into_the_day_after_its_share_of_lifetime_and_long_before_the_last_sixth(
    certificate_id: str, number: int, lifetime: timedelta
) -> None:
    newest = of(certificate_id, number, lifetime)
    share, at = renew_at(newest.not_before, newest.not_after), planned(newest).at
    assert share <= at <= share + min(DAY, lifetime / 12)
    assert at - share <= (newest.not_after - share) / 2
    assert at < latest(newest)
    assert planned(of(certificate_id, number, lifetime)).at == at


@pytest.mark.parametrize("prefix", ["0197-", "cert-", ""])
def test_a_thousand_certificates_of_one_birthday_are_no_herd(prefix: str) -> None:
    hours = Counter((planned(of(f"{prefix}{n:08x}")).at - NOON) // timedelta(hours=1) for n in range(1000))
    assert len(hours) == 24
    assert max(hours.values()) <= 2 * 1000 / 24


def test_the_next_revision_has_an_offset_of_its_own() -> None:
    assert len({spread(of("c-1", number)) for number in range(1, 20)}) == 19


def test_what_is_spread_is_told() -> None:
    found = planned(of("c-1"))
    later = found.at - renew_at(NOON, NOON + 90 * DAY)
    hours, minutes = divmod(later // timedelta(minutes=1), 60)
    assert (
        found.detail
        == f"two thirds of its lifetime are over, and {hours}h{minutes:02}m more, so that not all come at once"
    )
