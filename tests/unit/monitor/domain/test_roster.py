from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.events import EndpointsExpected
from certcore.placements import generation as generation_of
from monitor.domain.roster import News, Roster, Watch
from monitor.domain.watched import EndpointRecord, Expected, Rollout
from tests.unit.monitor.expectations import NOON, URL, endpoint, expectation

LATER = NOON + timedelta(minutes=1)
OTHER_URL = "https://www.example.org:8443"


def only(roster: Roster) -> Watch:
    [watch] = roster.watches()
    return watch


def at_rest(roster: Roster) -> Watch:
    watch = only(roster)
    watch.due, watch.asked = LATER, False
    return watch


def test_a_new_expectation_is_looked_at_at_once_and_reported() -> None:
    roster = Roster()
    assert roster.expect(expectation(), now=NOON, asked=True) is News.NEW
    assert roster.due(now=NOON) == [only(roster)]
    assert only(roster).asked


@given(st.permutations(range(1, 6)), st.permutations(range(1, 6)))
def test_the_highest_generation_counts_whatever_its_revision(generations: list[int], revisions: list[int]) -> None:
    roster = Roster()
    wanted = dict(zip(generations, revisions, strict=True))
    for generation, revision in wanted.items():
        roster.expect(expectation(revision, generation=generation), now=NOON, asked=True)
    known = roster.expected("c1")
    assert known is not None
    assert known.event == expectation(wanted[5], generation=5)


def test_a_rollout_begins_when_what_is_wanted_changes() -> None:
    roster = Roster()
    hour = timedelta(hours=1)
    rollouts = []
    for number, (wanted, generation) in enumerate([(1, 1), (2, 2), (2, 3), (1, 4)]):
        event = expectation(wanted, generation=generation, accepted=(generation,))
        assert roster.expect(event, now=NOON + number * hour, asked=True) in {News.NEW, News.CHANGED}
        known = roster.expected("c1")
        assert known is not None
        rollouts.append((known.rollouts[URL].generation, known.rollouts[URL].since))
    assert rollouts == [(1, NOON), (2, NOON + hour), (2, NOON + hour), (4, NOON + 3 * hour)]


def test_each_endpoint_has_a_rollout_of_its_own() -> None:
    roster = Roster()
    roster.expect(expectation(1, urls=(URL,)), now=NOON, asked=True)
    second = expectation(1, generation=2, urls=(URL, OTHER_URL))
    roster.expect(second, now=LATER, asked=True)
    wave = second.model_copy(update={"generation": 3, "endpoints": (second.endpoints[0], endpoint(2, url=OTHER_URL))})
    roster.expect(wave, now=LATER + timedelta(hours=1), asked=True)
    known = roster.expected("c1")
    assert known is not None
    assert known.rollouts == {
        URL: Rollout(generation=1, since=NOON),
        OTHER_URL: Rollout(generation=3, since=LATER + timedelta(hours=1)),
    }


def test_an_endpoint_that_cannot_be_read_is_not_one_that_is_expected_no_more() -> None:
    roster = Roster()
    roster.expect(expectation(urls=(URL, OTHER_URL)), now=NOON, asked=True)
    body = expectation(3, urls=(URL, OTHER_URL)).model_dump(mode="json")
    del body["endpoints"][1]["wanted"]
    event = EndpointsExpected.model_validate(body)
    assert len(event.unreadable) == 1
    roster.expect(event, now=LATER, asked=True)
    assert roster.dismiss("c1") == []
    known = roster.expected("c1")
    assert known is not None
    assert known.endpoint(URL) == endpoint(3, accepted=(1,))
    assert known.endpoint(OTHER_URL) == endpoint(2, accepted=(1,), url=OTHER_URL)


def test_an_event_asks_for_a_report_even_where_nothing_is_new() -> None:
    roster = Roster()
    roster.expect(expectation(), now=NOON, asked=True)
    watch = at_rest(roster)
    assert roster.expect(expectation(), now=NOON, asked=True) is News.KNOWN
    assert watch.asked
    assert watch.due == NOON


FULL = expectation(2, generation=7, accepted=(1, 3), urls=(URL, OTHER_URL))
[AT_URL, AT_OTHER] = FULL.endpoints
_NEXT_EPOCH = generation_of(1, 0)


@pytest.mark.parametrize(
    ("event", "asks"),
    [
        ({}, True),
        ({"generation": 8}, True),
        ({"generation": 8, "endpoints": (endpoint(2), endpoint(2, url=OTHER_URL))}, False),
        ({"generation": 8, "endpoints": (AT_URL, endpoint(2, accepted=(3,), url=OTHER_URL))}, False),
        ({"endpoints": (endpoint(2), AT_OTHER)}, False),
        ({"generation": _NEXT_EPOCH, "endpoints": (endpoint(2), endpoint(2, url=OTHER_URL))}, True),
        ({"generation": 8, "endpoints": (endpoint(2), endpoint(2, accepted=(1, 3, 4), url=OTHER_URL))}, True),
        ({"generation": 8, "endpoints": (endpoint(2), endpoint(3, url=OTHER_URL))}, True),
        ({"generation": 8, "endpoints": (endpoint(2),)}, True),
    ],
    ids=[
        "the same again",
        "ordered again",
        "nothing earlier is accepted any more",
        "less is accepted at one",
        "less is accepted, of the same generation",
        "less is accepted by a restored registry",
        "more is accepted at one",
        "another revision is wanted at one",
        "one is expected no more",
    ],
)
def test_every_event_asks_for_a_report_unless_it_only_ends_what_was_accepted(
    event: dict[str, object], *, asks: bool
) -> None:
    roster = Roster()
    roster.expect(FULL, now=NOON, asked=True)
    for watch in roster.watches():
        watch.due, watch.asked = LATER, False
    roster.expect(FULL.model_copy(update=event), now=NOON, asked=True)
    watch = roster.watches()[0]
    assert watch.due == NOON
    assert watch.asked is asks


def test_what_was_asked_for_stays_so_where_less_is_accepted_then() -> None:
    roster = Roster()
    roster.expect(expectation(), now=NOON, asked=True)
    roster.expect(expectation(generation=3, accepted=()), now=NOON, asked=True)
    assert only(roster).asked


def test_a_list_that_says_nothing_new_asks_for_nothing() -> None:
    roster = Roster()
    roster.expect(expectation(traceparent="00-a-b-01"), now=NOON, asked=True)
    watch = at_rest(roster)
    assert roster.expect(expectation(), now=NOON, asked=False, listed_at=roster.moment()) is News.KNOWN
    assert not watch.asked
    assert watch.due == LATER
    known = roster.expected("c1")
    assert known is not None
    assert known.event.traceparent == "00-a-b-01"


def test_a_list_that_is_older_than_an_event_changes_nothing() -> None:
    roster = Roster()
    roster.expect(expectation(), now=NOON, asked=True)
    listed_at = roster.moment()
    roster.expect(expectation(accepted=()), now=NOON, asked=True)
    roster.expect(expectation(certificate_id="c2"), now=NOON, asked=True)
    assert roster.expect(expectation(), now=NOON, asked=False, listed_at=listed_at) is News.OLDER
    assert roster.keep_only(set(), listed_at=listed_at) == []
    assert sorted(roster.keep_only(set(), listed_at=roster.moment())) == ["c1", "c2"]


def test_first_looks_of_a_long_list_can_be_put_off() -> None:
    roster = Roster()
    roster.expect(expectation(), now=NOON, asked=False, listed_at=0, delay=timedelta(seconds=3))
    assert only(roster).due == NOON + timedelta(seconds=3)


def test_endpoints_that_are_expected_no_more_are_dropped() -> None:
    roster = Roster()
    roster.expect(expectation(urls=(URL, OTHER_URL)), now=NOON, asked=True)
    roster.expect(expectation(urls=(OTHER_URL,)), now=NOON, asked=True)
    assert [watch.record.url for watch in roster.dismiss("c1")] == [URL]
    assert only(roster).record.url == OTHER_URL


def test_a_retired_certificate_is_watched_no_more() -> None:
    roster = Roster()
    roster.expect(expectation(), now=NOON, asked=False, listed_at=0)
    assert roster.keep_only(set(), listed_at=roster.moment()) == ["c1"]
    assert len(roster.dismiss("c1")) == 1
    assert len(roster) == 0
    assert roster.next_due() is None


def test_what_was_kept_over_a_restart_is_due_and_asked_for() -> None:
    roster = Roster()
    kept = EndpointRecord(certificate_id="c1", url=URL, ever_served=True, bad_looks=3)
    forgotten = EndpointRecord(certificate_id="gone", url=URL)
    roster.remember([Expected.follow(expectation(), known=None, now=NOON)], [kept, forgotten], now=LATER)
    watch = only(roster)
    assert (watch.record, watch.asked, watch.due) == (kept, True, LATER)


def test_what_is_being_looked_at_is_not_due() -> None:
    roster = Roster()
    roster.expect(expectation(), now=NOON, asked=True)
    only(roster).looking = True
    assert roster.due(now=LATER) == []
    assert roster.next_due() is None
