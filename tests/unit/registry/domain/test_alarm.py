from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf, nan
from pathlib import Path

import pytest

import registry
from certcore.events import Severity, SiteHeartbeat
from registry.domain.alarm import (
    FIRST_START,
    Alarm,
    BusState,
    Halt,
    Letters,
    Start,
    judge_bus,
    judge_letters,
    judge_services,
)
from registry.domain.alert import Finding
from registry.domain.site import ServiceSeen, heard_from

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LONG_AGO = NOW - timedelta(hours=5)
START = Start(at=LONG_AGO, clean=True)
SYNCER = ("site1", "syncer")

SEEN = ServiceSeen(*SYNCER, version="1", last_heartbeat=NOW - 10 * SECOND, started=LONG_AGO)


def judged(
    *seen: ServiceSeen,
    start: Start = START,
    bus: BusState = BusState(),  # noqa: B008 # frozen
    expected_since: datetime = LONG_AGO,
) -> list[tuple[str, str]]:
    found = judge_services({SYNCER: expected_since}, seen, start=start, bus=bus, now=NOW)
    return [(item.reason, item.subject) for item in found]


def heartbeat(
    *, started: datetime | None = LONG_AGO, not_ready: str | None = None, stood_still_s: float = 0.0
) -> SiteHeartbeat:
    return SiteHeartbeat(
        site="site1",
        service="syncer",
        version="1",
        started=started,
        not_ready=not_ready,
        stood_still_s=stood_still_s,
    )


def test_a_service_that_reports_and_is_ready_is_fine() -> None:
    assert judged(SEEN) == []


def test_a_service_is_silent_after_three_heartbeats() -> None:
    assert judged(replace(SEEN, last_heartbeat=NOW - 45 * SECOND)) == []
    assert judged(replace(SEEN, last_heartbeat=NOW - 46 * SECOND)) == [("service_silent", "site1/syncer")]


def test_a_service_may_take_its_time_for_its_first_start() -> None:
    assert judged(expected_since=NOW - FIRST_START) == []
    assert judged(expected_since=NOW - FIRST_START - SECOND) == [("service_silent", "site1/syncer")]


def test_a_registry_that_could_not_hear_calls_nobody_silent() -> None:
    old = replace(SEEN, last_heartbeat=NOW - timedelta(hours=1))
    assert judged(old, start=Start(at=NOW - 40 * SECOND, clean=True)) == []
    assert judged(old, bus=BusState(unreachable_since=NOW - timedelta(hours=1))) == []
    assert judged(old, bus=BusState(back_at=NOW - 40 * SECOND)) == []
    assert judged(old, bus=BusState(back_at=NOW - 50 * SECOND)) == [("service_silent", "site1/syncer")]


def test_a_service_that_is_not_ready_for_a_while_is_told_with_its_reason() -> None:
    seen = replace(SEEN, not_ready="disk: it is full", not_ready_since=NOW - 44 * SECOND)
    assert judged(seen) == []
    seen = replace(seen, not_ready_since=NOW - 45 * SECOND)
    [found] = judge_services({SYNCER: LONG_AGO}, [seen], start=START, bus=BusState(), now=NOW)
    expected = "site1/syncer is not ready: disk: it is full"
    assert found == Finding("service_not_ready", "site1/syncer", Severity.WARNING, expected)


def test_a_silent_service_s_last_word_on_its_readiness_counts_no_more() -> None:
    seen = replace(SEEN, last_heartbeat=NOW - 90 * SECOND, not_ready="x", not_ready_since=LONG_AGO)
    assert judged(seen) == [("service_silent", "site1/syncer")]


def test_since_when_a_service_is_not_ready_is_kept_over_heartbeats_and_ends_with_the_first_good_one() -> None:
    seen = heard_from(None, heartbeat(not_ready="x"), now=LONG_AGO)
    seen = heard_from(seen, heartbeat(not_ready="y"), now=NOW)
    assert (seen.not_ready, seen.not_ready_since) == ("y", LONG_AGO)
    seen = heard_from(seen, heartbeat(), now=NOW)
    assert (seen.not_ready, seen.not_ready_since) == (None, None)


@pytest.mark.parametrize(("told_s", "since_s"), [(0.0, 0), (50.0, 50), (-1.0, 0), (inf, 0), (nan, 0)])
def test_a_service_that_was_not_ready_before_the_registry_heard_it_is_so_since_then(
    told_s: float, since_s: int
) -> None:
    said = heartbeat(not_ready="x").model_copy(update={"not_ready_s": told_s})
    seen = heard_from(None, said, now=NOW)
    assert seen.not_ready_since == NOW - since_s * SECOND
    assert judged(seen) == ([("service_not_ready", "site1/syncer")] if since_s else [])
    # What the registry heard itself counts where it is longer.
    assert (
        heard_from(replace(SEEN, not_ready="x", not_ready_since=LONG_AGO), said, now=NOW).not_ready_since == LONG_AGO
    )


def test_a_restart_is_told_for_ten_minutes() -> None:
    seen = heard_from(SEEN, heartbeat(started=NOW), now=NOW)
    assert judged(seen) == [("service_restarted", "site1/syncer")]
    assert judged(replace(seen, restarted_at=NOW - timedelta(minutes=10))) == []
    seen = heard_from(seen, heartbeat(started=NOW), now=NOW)
    assert judged(seen) == [("service_restarted", "site1/syncer")]


@pytest.mark.parametrize("before", [None, replace(SEEN, started=None), SEEN])
def test_a_first_start_and_an_older_service_s_are_no_restart(before: ServiceSeen | None) -> None:
    assert judged(heard_from(before, heartbeat(started=LONG_AGO), now=NOW)) == []
    assert judged(heard_from(before, heartbeat(started=None), now=NOW)) == []


def test_a_system_that_was_stopped_and_started_again_has_no_restarts() -> None:
    seen = heard_from(replace(SEEN, last_heartbeat=LONG_AGO - SECOND), heartbeat(started=NOW), now=NOW)
    assert judged(seen, start=Start(at=LONG_AGO, clean=True)) == []
    assert judged(seen, start=Start(at=LONG_AGO, clean=False)) == [("service_restarted", "site1/syncer")]


def test_a_service_that_stood_still_is_told_for_ten_minutes() -> None:
    seen = heard_from(SEEN, heartbeat(stood_still_s=9.99), now=NOW)
    assert judged(seen) == []
    seen = heard_from(seen, heartbeat(stood_still_s=29.3), now=NOW)
    [found] = judge_services({SYNCER: LONG_AGO}, [seen], start=START, bus=BusState(), now=NOW)
    assert (found.reason, found.subject) == ("service_stood_still", "site1/syncer")
    assert found.summary.startswith("site1/syncer stood still for 29 s before 12:00:00 UTC: ")
    # Also where the registry heard nothing for a while before: that is what silence isn't counted in.
    assert judged(seen, bus=BusState(back_at=NOW)) == [("service_stood_still", "site1/syncer")]
    seen = heard_from(seen, heartbeat(started=LONG_AGO), now=NOW)
    assert judged(seen) == [("service_stood_still", "site1/syncer")]
    assert judged(replace(seen, stood_still_at=NOW - timedelta(minutes=10))) == []


def test_the_same_number_again_is_the_same_standstill_and_another_is_told_anew() -> None:
    first = heard_from(SEEN, heartbeat(stood_still_s=29.3), now=LONG_AGO)
    again = heard_from(first, heartbeat(stood_still_s=29.3), now=NOW)
    assert (again.stood_still_s, again.stood_still_at) == (29.3, LONG_AGO)
    other = heard_from(again, heartbeat(stood_still_s=20.1), now=NOW)
    assert (other.stood_still_s, other.stood_still_at) == (20.1, NOW)


@pytest.mark.parametrize(("said", "kept"), [(1e308, 2_592_000.0), (float("inf"), 2_592_000.0), (float("nan"), None)])
def test_what_no_process_can_have_stood_still_is_bounded(said: float, kept: float | None) -> None:
    assert heard_from(SEEN, heartbeat(stood_still_s=said), now=NOW).stood_still_s == kept


def test_how_long_a_standstill_must_be_to_be_told_can_be_set() -> None:
    seen = heard_from(None, heartbeat(stood_still_s=4.0), now=NOW, stood_still_after=4 * SECOND)
    assert judged(seen) == [("service_stood_still", "site1/syncer")]


def test_a_registry_that_stood_still_tells_so_itself() -> None:
    def reasons(noticed: datetime) -> list[tuple[str, str]]:
        found = judge_services({}, [], start=START, bus=BusState(), now=NOW, halt=Halt(25.0, noticed))
        return [(item.reason, item.subject) for item in found]

    assert reasons(NOW) == [("service_stood_still", "hub/registry")]
    assert reasons(NOW - timedelta(minutes=10)) == []


def test_a_registry_that_was_killed_tells_so_itself() -> None:
    assert judged(SEEN, start=Start(at=NOW, clean=False)) == [("service_restarted", "hub/registry")]
    assert judged(SEEN, start=Start(at=NOW - timedelta(minutes=10), clean=False)) == []


def test_a_second_kill_of_the_registry_is_told_anew() -> None:
    def summary(at: datetime) -> str:
        start = Start(at=at, clean=False)
        [found] = judge_services({}, [], start=start, bus=BusState(), now=at)
        return found.summary

    assert summary(NOW) != summary(NOW + SECOND)


def test_a_second_cut_of_the_bus_is_told_anew() -> None:
    def summary(at: datetime) -> str:
        [found] = judge_bus(BusState(cut_at=at), now=NOW)
        return found.summary

    assert summary(NOW) != summary(NOW - SECOND)
    assert summary(NOW) == summary(NOW)


def test_the_bus_is_unreachable_after_ten_seconds_and_then_its_health_is_not_asked() -> None:
    def reasons(state: BusState) -> list[str]:
        return [item.reason for item in judge_bus(state, now=NOW)]

    assert reasons(BusState()) == []
    assert reasons(BusState(problem="JetStream is not available")) == ["bus_unhealthy"]
    assert reasons(BusState(cut_at=NOW - 179 * SECOND)) == ["bus_unreachable"]
    assert reasons(BusState(cut_at=NOW - 180 * SECOND)) == []
    assert reasons(BusState(unreachable_since=NOW - 9 * SECOND, problem="x")) == []
    assert reasons(BusState(unreachable_since=NOW - 10 * SECOND, problem="x")) == ["bus_unreachable"]


def test_dead_letters_are_told_by_place_and_durable_for_an_hour() -> None:
    durables = tuple(f"d{number}" for number in range(7))
    [found] = judge_letters([Letters("site1", durables, NOW - timedelta(minutes=59))], now=NOW)
    assert (found.reason, found.subject) == ("dead_letters", "site1")
    assert found.summary.endswith("by d0, d1, d2, d3, d4 and 2 more")
    assert judge_letters([Letters("site1", durables, NOW - timedelta(hours=1))], now=NOW) == []


def test_a_summary_is_cut_where_it_is_too_long() -> None:
    seen = replace(SEEN, not_ready="x" * 1000, not_ready_since=LONG_AGO)
    [found] = judge_services({SYNCER: LONG_AGO}, [seen], start=START, bus=BusState(), now=NOW)
    assert len(found.summary) == 300


def test_the_readme_says_of_each_alarm_what_to_do() -> None:
    text = (Path(registry.__file__).parents[2] / "README.md").read_text()
    assert [alarm for alarm in Alarm if f"\n| `{alarm}` | " not in text] == []
