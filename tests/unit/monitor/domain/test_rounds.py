from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from certcore.events import ProbeRound
from monitor.domain.rounds import NAMED_AT_MOST, probe_round
from monitor.domain.watched import Key
from tests.unit.monitor.expectations import NOON

PERIOD = timedelta(seconds=60)
BEFORE = NOON - timedelta(seconds=1)


def round_of(looked_at: dict[Key, datetime | None]) -> ProbeRound:
    return probe_round(looked_at, worker="monitor", begun=NOON, ended=NOON + PERIOD, period=PERIOD)


def test_an_endpoint_without_a_look_since_the_round_began_is_missed() -> None:
    known: dict[Key, datetime | None] = {
        ("c1", "https://a"): NOON,
        ("c1", "https://b"): BEFORE,
        ("c2", "https://a"): None,
    }
    found = round_of(known)
    assert found.looked == 1
    assert [(item.certificate_id, item.url) for item in found.missed] == [("c1", "https://b"), ("c2", "https://a")]
    assert (found.started, found.ended, found.period_s) == (NOON, NOON + PERIOD, 60.0)


def test_a_round_that_took_long_counts_recent_looks_only() -> None:
    ended = NOON + 10 * PERIOD
    known: dict[Key, datetime | None] = {("c1", "a"): ended - 2 * PERIOD, ("c1", "b"): ended - 3 * PERIOD}
    found = probe_round(known, worker="monitor", begun=NOON, ended=ended, period=PERIOD)
    assert (found.started, found.looked) == (ended - 2 * PERIOD, 1)
    assert [item.url for item in found.missed] == ["b"]


def test_a_round_over_nothing_is_a_round() -> None:
    found = round_of({})
    assert (found.looked, found.missed, found.missed_count) == (0, (), 0)


KEYS = st.tuples(st.sampled_from(["c1", "c2"]), st.integers(0, 50).map("https://shop{}.example.org".format))


@given(st.dictionaries(KEYS, st.sampled_from([None, BEFORE, NOON, NOON + PERIOD])))
def test_every_known_endpoint_was_either_looked_at_or_missed(known: dict[Key, datetime | None]) -> None:
    found = round_of(known)
    assert found.missed_count is not None
    assert found.looked + found.missed_count == len(known)
    named = {(item.certificate_id, item.url) for item in found.missed}
    assert named <= set(known)
    assert all(known[key] in {None, BEFORE} for key in named)
    assert len(named) == len(found.missed) == found.missed_count


def test_a_round_that_missed_ten_thousand_endpoints_fits_into_a_message() -> None:
    found = round_of({("c" * 64, f"https://{'shop' * 50}{number}.example.org"): None for number in range(10_000)})
    assert (found.looked, found.missed_count) == (0, 10_000)
    assert len(found.missed) == NAMED_AT_MOST
    assert len(found.model_dump_json()) < 512 * 1024
