from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from monitor.domain.roster import News, Roster, Watch
from monitor.domain.watched import EndpointRecord, Expected
from tests.unit.monitor.expectations import NOON, URL, expectation

LATER = NOON + timedelta(minutes=1)
OTHER_URL = "https://www.example.org:8443"


def only(roster: Roster) -> Watch:
    [watch] = roster.watches()
    return watch


def at_rest(roster: Roster) -> Watch:
    watch = only(roster)
    watch.due, watch.owed = LATER, False
    return watch


def test_a_new_expectation_is_looked_at_at_once_and_reported() -> None:
    roster = Roster()
    assert roster.expect(expectation(), now=NOON, asked=True) is News.NEW
    assert roster.due(now=NOON) == [only(roster)]
    assert only(roster).owed


@given(st.permutations(range(1, 6)))
def test_the_newest_wanted_revision_wins(revisions: list[int]) -> None:
    roster = Roster()
    for revision in revisions:
        roster.expect(expectation(revision), now=NOON, asked=True)
    known = roster.expected("c1")
    assert known is not None
    assert known.event.wanted_revision == 5


def test_a_roll_out_begins_when_its_revision_is_first_heard_of() -> None:
    roster = Roster()
    roster.expect(expectation(1), now=NOON, asked=True)
    roster.expect(expectation(2), now=LATER, asked=True)
    roster.expect(expectation(2, accepted={2: "2" * 64}), now=LATER + timedelta(hours=1), asked=True)
    known = roster.expected("c1")
    assert known is not None
    assert known.since == LATER


def test_an_event_asks_for_a_report_even_where_nothing_is_new() -> None:
    roster = Roster()
    roster.expect(expectation(), now=NOON, asked=True)
    watch = at_rest(roster)
    assert roster.expect(expectation(), now=NOON, asked=True) is News.KNOWN
    assert watch.owed
    assert watch.due == NOON


def test_a_list_that_says_nothing_new_asks_for_nothing() -> None:
    roster = Roster()
    roster.expect(expectation(traceparent="00-a-b-01"), now=NOON, asked=True)
    watch = at_rest(roster)
    assert roster.expect(expectation(), now=NOON, asked=False, listed_at=roster.moment()) is News.KNOWN
    assert not watch.owed
    assert watch.due == LATER
    known = roster.expected("c1")
    assert known is not None
    assert known.event.traceparent == "00-a-b-01"


def test_a_list_that_is_older_than_an_event_changes_nothing() -> None:
    roster = Roster()
    roster.expect(expectation(), now=NOON, asked=True)
    listed_at = roster.moment()
    roster.expect(expectation(accepted={2: "2" * 64}), now=NOON, asked=True)
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


def test_what_was_kept_over_a_restart_is_due_and_owed() -> None:
    roster = Roster()
    kept = EndpointRecord(certificate_id="c1", url=URL, ever_served=True, episode=3)
    forgotten = EndpointRecord(certificate_id="gone", url=URL)
    roster.remember([Expected(event=expectation(), since=NOON)], [kept, forgotten], now=LATER)
    watch = only(roster)
    assert (watch.record, watch.owed, watch.due) == (kept, True, LATER)


def test_what_is_being_looked_at_is_not_due() -> None:
    roster = Roster()
    roster.expect(expectation(), now=NOON, asked=True)
    only(roster).looking = True
    assert roster.due(now=LATER) == []
    assert roster.next_due() is None
