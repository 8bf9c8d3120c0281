from datetime import UTC, datetime, timedelta

from certcore.events import AlertRaised, AlertResolved, Severity, alert_id
from monitor.domain.registry_watch import RegistryFault, RegistryRecord, follow

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
GRACE = 30 * SECOND
_NOTHING = RegistryRecord()
UNREACHABLE, NOT_READY = RegistryFault.UNREACHABLE, RegistryFault.NOT_READY


def follow_all(
    *looks: tuple[int, RegistryFault | None], record: RegistryRecord = _NOTHING
) -> tuple[RegistryRecord, list[AlertRaised | AlertResolved]]:
    """`looks` are the seconds after noon and what was found."""
    told: list[AlertRaised | AlertResolved] = []
    for after, fault in looks:
        record, events = follow(record, fault, "why", now=NOON + after * SECOND, grace=GRACE)
        told += events
    return record, told


def test_a_fault_that_lasts_is_raised_once() -> None:
    record, told = follow_all((0, UNREACHABLE), (29, UNREACHABLE))
    assert told == []
    record, told = follow_all((30, UNREACHABLE), (40, UNREACHABLE), record=record)
    [raised] = told
    assert isinstance(raised, AlertRaised)
    assert (raised.owner, raised.subject, raised.severity) == ("platform", "hub/registry", Severity.CRITICAL)
    assert raised.alert_id == alert_id(owner="platform", about="hub/registry", reason="registry_unreachable")
    assert raised.summary == "the registry can't be reached: why"
    assert record.alert == raised


def test_a_short_fault_is_none_and_the_next_begins_anew() -> None:
    _, told = follow_all((0, UNREACHABLE), (20, None), (30, UNREACHABLE), (50, UNREACHABLE))
    assert told == []


def test_a_good_look_ends_it() -> None:
    record, told = follow_all((0, NOT_READY), (30, NOT_READY), (40, None), (50, None))
    assert [type(event) for event in told] == [AlertRaised, AlertResolved]
    assert record == RegistryRecord()


def test_another_fault_replaces_it_when_it_has_lasted_as_long() -> None:
    _, told = follow_all((0, UNREACHABLE), (30, UNREACHABLE), (40, NOT_READY), (69, NOT_READY), (70, NOT_READY))
    assert [(type(event), event.reason) for event in told] == [
        (AlertRaised, UNREACHABLE),
        (AlertResolved, UNREACHABLE),
        (AlertRaised, NOT_READY),
    ]


def test_a_fault_that_comes_back_in_between_leaves_the_first_alert_open() -> None:
    record, told = follow_all((0, UNREACHABLE), (30, UNREACHABLE), (40, NOT_READY), (50, UNREACHABLE))
    assert len(told) == 1
    assert record.alert is not None


def test_what_was_stored_is_followed_on() -> None:
    record, _ = follow_all((0, UNREACHABLE), (30, UNREACHABLE))
    stored = RegistryRecord.model_validate_json(record.model_dump_json())
    _, told = follow_all((40, None), record=stored)
    assert [type(event) for event in told] == [AlertResolved]
