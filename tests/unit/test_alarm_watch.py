"""An alarm tells one fault: that of a neighbour doesn't count."""

from datetime import UTC, datetime, timedelta

from certcore.alerts import AlertState, AlertView
from certcore.events import Severity
from tests.holds.alarm_watch import AlarmWatch, Fault

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def an_alarm(
    reason: str, subject: str, *, since: float, updated: float | None = None, resolved: float | None = None
) -> AlertView:
    return AlertView(
        id=f"{reason} {subject}",
        state=AlertState.OPEN if resolved is None else AlertState.RESOLVED,
        severity=Severity.WARNING,
        owner="platform",
        reason=reason,
        subject=subject,
        summary="",
        since=after(since),
        updated_at=after(updated or resolved or since),
        resolved_at=after(resolved) if resolved is not None else None,
        source="registry",
    )


def a_watch(*faults: Fault) -> AlarmWatch:
    return AlarmWatch(faults=list(faults))


def a_fault(what: str, *reasons: str, about: tuple[str, ...] = (), at: float = 0.0) -> Fault:
    return Fault(what, reasons, about, at=after(at))


def missing(watch: AlarmWatch) -> list[str]:
    return [fault.what for fault in watch.missing()]


def test_one_alarm_tells_one_of_two_faults() -> None:
    watch = a_watch(a_fault("first", "silent"), a_fault("second", "silent", at=1.0))
    watch.see([an_alarm("silent", "fra1/syncer", since=2.0)])
    assert missing(watch) == ["second"]
    watch.see([an_alarm("silent", "fra1/syncer", since=2.0)])
    assert missing(watch) == ["second"]
    watch.see([an_alarm("silent", "fra1/syncer", since=2.0, updated=3.0)])
    assert missing(watch) == []


def test_an_alarm_that_was_raised_before_the_fault_or_only_ended_after_it_does_not_tell_it() -> None:
    watch = a_watch(a_fault("fault", "silent", at=5.0))
    watch.see([an_alarm("silent", "a", since=4.0), an_alarm("silent", "b", since=4.0, resolved=6.0)])
    assert missing(watch) == ["fault"]


def test_an_alarm_of_another_service_or_reason_does_not_tell_it() -> None:
    watch = a_watch(a_fault("fault", "silent", about=("fra1/syncer",)))
    watch.see([an_alarm("silent", "ams1/syncer", since=1.0), an_alarm("restarted", "fra1/syncer", since=1.0)])
    assert missing(watch) == ["fault"]


def test_the_alarms_are_shared_out_so_that_as_many_faults_as_possible_are_told() -> None:
    watch = a_watch(a_fault("store rotten", "bus", "stream"), a_fault("broker killed", "bus"))
    watch.see([an_alarm("bus", "bus", since=1.0)])
    assert missing(watch) == ["broker killed"]
    watch.see([an_alarm("bus", "bus", since=1.0), an_alarm("stream", "CERTS", since=2.0)])
    assert missing(watch) == []
    assert [fault.alarm for fault in watch.faults] == ["stream of CERTS", "bus of bus"]


def test_a_second_fault_of_a_kind_is_not_told_by_an_earlier_alarm_that_was_left_over() -> None:
    watch = a_watch(a_fault("first", "silent", "restarted"), a_fault("second", "silent", "restarted", at=10.0))
    watch.see([an_alarm("silent", "a", since=1.0), an_alarm("restarted", "a", since=2.0)])
    assert missing(watch) == ["second"]
