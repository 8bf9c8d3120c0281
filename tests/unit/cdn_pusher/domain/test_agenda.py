from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from cdn_pusher.domain.agenda import Agenda, Item, News
from tests.unit.cdn_pusher.orders import NOON, order

LATER = NOON + timedelta(minutes=1)
KEY = ("c1", "edge")


def only(agenda: Agenda) -> Item:
    item = agenda.get(KEY)
    assert item is not None
    return item


def test_a_first_order_is_due_at_once() -> None:
    agenda = Agenda()
    assert agenda.want(order(), "edge", now=NOON) is News.NEW
    assert agenda.due(now=NOON) == [only(agenda)]
    assert agenda.next_due() == NOON


def test_an_empty_agenda_is_never_due() -> None:
    assert Agenda().next_due() is None
    assert Agenda().due(now=NOON) == []


@given(st.permutations(range(1, 8)))
def test_the_newest_revision_wins_in_whatever_order_they_come(revisions: list[int]) -> None:
    agenda = Agenda()
    newest = 0
    for revision in revisions:
        news = agenda.want(order(revision), "edge", now=NOON)
        assert (news is News.OLDER) == (revision < newest)
        newest = max(newest, revision)
        assert only(agenda).order.revision == newest
    assert len(agenda) == 1


def test_a_known_order_changes_nothing_that_was_done() -> None:
    agenda = Agenda()
    agenda.want(order(), "edge", now=NOON)
    agenda.held(only(agenda), digest="d", until=LATER)
    agenda.reported(only(agenda))
    news = agenda.want(order(traceparent="00-1-2-01"), "edge", now=NOON)
    assert news is News.KNOWN
    assert only(agenda).due == LATER
    assert only(agenda).reported_revision == 1


def test_an_event_for_a_known_order_has_it_reported_again() -> None:
    agenda = Agenda()
    agenda.want(order(), "edge", now=NOON)
    agenda.held(only(agenda), digest="d", until=LATER)
    agenda.reported(only(agenda))
    assert agenda.want(order(), "edge", now=NOON, told_again=True) is News.CHANGED
    assert only(agenda).due == NOON
    assert only(agenda).reported_revision is None
    assert only(agenda).digest == "d"


def test_the_same_revision_in_another_bundle_is_looked_at_again() -> None:
    agenda = Agenda()
    agenda.want(order(), "edge", now=NOON)
    agenda.held(only(agenda), digest="d", until=LATER)
    assert agenda.want(order(bundle_sha256="1" * 64), "edge", now=NOON) is News.CHANGED
    assert only(agenda).due == NOON


def test_work_for_an_order_that_was_replaced_meanwhile_counts_for_nothing() -> None:
    agenda = Agenda()
    agenda.want(order(1), "edge", now=NOON)
    begun = only(agenda)
    agenda.want(order(2), "edge", now=NOON)
    agenda.held(begun, digest="d", until=LATER)
    agenda.reported(begun)
    agenda.failed(begun, now=NOON, jitter=0.0)
    assert only(agenda).due == NOON
    assert only(agenda).tries == 0
    assert only(agenda).delivered_revision is None


def test_a_new_revision_forgets_the_digest_of_the_old() -> None:
    agenda = Agenda()
    agenda.want(order(1), "edge", now=NOON)
    agenda.held(only(agenda), digest="d", until=LATER)
    agenda.want(order(2), "edge", now=NOON)
    assert only(agenda).digest is None
    assert only(agenda).delivered_revision == 1


def test_a_success_after_failures_is_told_again() -> None:
    agenda = Agenda()
    agenda.want(order(), "edge", now=NOON)
    agenda.held(only(agenda), digest="d", until=LATER)
    agenda.reported(only(agenda))
    agenda.failed(only(agenda), now=NOON, jitter=0.0)
    assert only(agenda).reported_revision is None
    assert only(agenda).due > NOON
    agenda.held(only(agenda), digest="d", until=LATER)
    assert only(agenda).tries == 0


def test_what_is_no_longer_ordered_is_forgotten_but_not_what_came_meanwhile() -> None:
    agenda = Agenda()
    agenda.want(order(certificate_id="old"), "edge", now=NOON)
    agenda.want(order(certificate_id="kept"), "edge", now=NOON)
    agenda.want(order(certificate_id="fresh"), "edge", now=LATER)
    gone = agenda.keep_only({("kept", "edge")}, ordered_before=NOON + timedelta(seconds=1))
    assert [item.order.certificate_id for item in gone] == ["old"]
    assert len(agenda) == 2
