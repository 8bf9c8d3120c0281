from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.public_names import CLIENT_PROFILES
from issuer.domain.signing import PROFILES, Usage, signing_instant
from tests.unit.issuer.samples import NOON

DAY = timedelta(days=1)
WAITS = st.timedeltas(min_value=timedelta(), max_value=timedelta(days=400))


@given(WAITS, st.timedeltas(min_value=timedelta(), max_value=DAY))
def test_a_job_that_asks_again_within_a_day_asks_for_the_same(wait: timedelta, later: timedelta) -> None:
    first, second = (signing_instant(NOON, now=now) for now in (NOON + wait, NOON + wait + later))
    assert second - first in {timedelta(), DAY}
    if (wait % DAY) + later < DAY:
        assert first == second


@given(WAITS)
def test_a_certificate_begins_at_most_a_day_ago_however_long_its_job_waited(wait: timedelta) -> None:
    now = NOON + wait
    assert now - DAY < signing_instant(NOON, now=now) <= now


def test_a_clock_that_runs_behind_asks_for_the_same() -> None:
    assert signing_instant(NOON, now=NOON - timedelta(hours=3)) == NOON
    assert isinstance(signing_instant(NOON, now=NOON), datetime)


def test_a_profile_for_clients_alone_is_one_that_no_public_ca_gets() -> None:
    clients_alone = {name for name, usages in PROFILES.items() if usages == {Usage.CLIENT}}
    assert clients_alone <= CLIENT_PROFILES
