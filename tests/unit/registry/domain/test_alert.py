from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.events import Alert, AlertAcknowledged, AlertRaised, AlertResolved, AlertUpdated, Severity, alert_id
from registry.domain.alert import AlertRecord, Finding, Heard, heard, raised, resolved

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

_FIELDS = {
    "alert_id": "a1",
    "severity": Severity.WARNING,
    "owner": "shop",
    "reason": "serves_other_than_wanted",
    "subject": "https://shop.example.test",
    "summary": "it serves another",
    "since": NOON,
}
RAISED = AlertRaised(**_FIELDS)
UPDATED = AlertUpdated(**_FIELDS | {"severity": Severity.CRITICAL, "updated_at": NOON + MINUTE})
ACKNOWLEDGED = AlertAcknowledged(**_FIELDS, acknowledged_by="ana", acknowledged_at=NOON + 2 * MINUTE)
RESOLVED = AlertResolved(**_FIELDS, resolved_at=NOON + 3 * MINUTE)
AGAIN = AlertRaised(**_FIELDS | {"since": NOON + 5 * MINUTE})

FOUND = Finding("service_silent", "site1/syncer", Severity.WARNING, "it is silent")


def follow(*events: Alert) -> AlertRecord:
    record = None
    for event in events:
        record, _ = heard(record, event, source="certbus/hub/monitor")
    assert record is not None
    return record


def test_an_alert_is_followed_from_its_begin_to_its_end() -> None:
    assert follow(RAISED).resolved_at is None
    assert follow(RAISED, UPDATED).severity == "critical"
    assert follow(RAISED, UPDATED, ACKNOWLEDGED).acknowledged_by == "ana"
    assert follow(RAISED, UPDATED, ACKNOWLEDGED, RESOLVED).resolved_at == RESOLVED.resolved_at
    assert follow(RAISED, UPDATED, ACKNOWLEDGED, RESOLVED).acknowledged_by == "ana"
    assert follow(RAISED, ACKNOWLEDGED, RESOLVED, AGAIN).acknowledged_by is None


@pytest.mark.parametrize("events", list(permutations((RAISED, UPDATED, RESOLVED))))
def test_what_comes_late_opens_nothing_again(events: tuple[Alert, ...]) -> None:
    assert follow(*events).resolved_at == RESOLVED.resolved_at


@given(events=st.lists(st.sampled_from([RAISED, UPDATED, ACKNOWLEDGED, RESOLVED, AGAIN]), min_size=1, max_size=12))
def test_in_any_order_and_number_the_last_finding_counts(events: list[Alert]) -> None:
    record = follow(*events)

    if AGAIN in events:
        assert (record.since, record.resolved_at) == (AGAIN.since, None)
    else:
        assert (record.resolved_at is not None) == (RESOLVED in events)


def test_why_an_announcement_changed_nothing_is_told() -> None:
    record = follow(RAISED, UPDATED)
    assert heard(record, RAISED, source="x") == (record, Heard.EARLIER_STATE)
    record = follow(RAISED, RESOLVED)
    assert heard(record, RAISED, source="x") == (record, Heard.ALREADY_RESOLVED)
    record = follow(AGAIN)
    assert heard(record, RESOLVED, source="x") == (record, Heard.EARLIER_FINDING)


def test_an_alert_of_our_own_is_raised_once() -> None:
    record, event = raised(None, FOUND, now=NOON, source="us")
    assert isinstance(event, AlertRaised)
    assert event.alert_id == record.id == alert_id(owner="platform", about="site1/syncer", reason="service_silent")
    assert raised(record, FOUND, now=NOON + MINUTE, source="us") == (record, None)


def test_another_summary_updates_it_and_keeps_its_begin() -> None:
    record, _ = raised(None, FOUND, now=NOON, source="us")
    changed, event = raised(record, replace(FOUND, summary="still silent"), now=NOON + MINUTE, source="us")
    assert isinstance(event, AlertUpdated)
    assert (changed.since, changed.updated_at, changed.summary) == (NOON, NOON + MINUTE, "still silent")


def test_it_ends_once_and_what_is_found_again_is_another_finding() -> None:
    record, _ = raised(None, FOUND, now=NOON, source="us")
    ended, event = resolved(record, now=NOON + MINUTE)
    assert isinstance(event, AlertResolved)
    assert resolved(ended, now=NOON + MINUTE) == (ended, None)
    assert resolved(None, now=NOON) == (None, None)
    again, fresh = raised(ended, FOUND, now=NOON, source="us")
    assert isinstance(fresh, AlertRaised)
    assert again.since > NOON


def test_a_reader_of_the_announcements_comes_to_the_same_state() -> None:
    record, first = raised(None, FOUND, now=NOON, source="us")
    changed, second = raised(record, replace(FOUND, severity=Severity.CRITICAL), now=NOON + MINUTE, source="us")
    ended, third = resolved(changed, now=NOON + 2 * MINUTE)
    told = None
    for event in (first, second, third):
        assert event is not None
        told, _ = heard(told, event, source="us")
    assert told == ended
