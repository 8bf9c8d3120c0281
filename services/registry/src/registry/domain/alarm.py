"""What is wrong with the system itself: services by their heartbeats, the bus, dead letters, the registry's start.

Each judgement names everything that is wrong now; what it named before and doesn't name any more is over.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from certcore.events import Severity
from certcore.identities import HUB, Service
from registry.domain.alert import Finding
from registry.domain.site import SILENT_AFTER, STOOD_STILL_AFTER, ServiceSeen

__all__ = [
    "FIRST_START",
    "Alarm",
    "BusState",
    "Halt",
    "Letters",
    "Patience",
    "Start",
    "judge_bus",
    "judge_letters",
    "judge_services",
]

FIRST_START: Final = timedelta(minutes=5)
"""So long a service that was never heard may take to start for the first time."""

_RESTART_SHOWN: Final = timedelta(minutes=10)
_HALT_SHOWN: Final = timedelta(minutes=10)
_LETTERS_SHOWN: Final = timedelta(hours=1)
_CUT_SHOWN: Final = timedelta(minutes=3)
_UNREACHABLE_AFTER: Final = timedelta(seconds=10)
_TEXT: Final = 300
_NAMED: Final = 5


class Alarm(StrEnum):
    """Reasons of alerts about the system."""

    SERVICE_SILENT = "service_silent"
    SERVICE_NOT_READY = "service_not_ready"
    SERVICE_RESTARTED = "service_restarted"
    SERVICE_STOOD_STILL = "service_stood_still"
    DEAD_LETTERS = "dead_letters"
    BUS_UNREACHABLE = "bus_unreachable"
    BUS_UNHEALTHY = "bus_unhealthy"


@dataclass(frozen=True)
class Patience:
    """After how long a service is silent (three of its heartbeats), and after how long it is a fault that it isn't
    ready (a start, and a short cut of the bus, take a while), or that its process stood still.
    """

    silent: timedelta = SILENT_AFTER
    not_ready: timedelta = timedelta(seconds=45)
    stood_still: timedelta = STOOD_STILL_AFTER


@dataclass(frozen=True)
class Start:
    """When this registry started, and whether the run before ended as it should; a first start is clean."""

    at: datetime
    clean: bool


@dataclass(frozen=True)
class Halt:
    """How long a registry itself stood still, and when it noticed."""

    seconds: float
    noticed: datetime


@dataclass(frozen=True)
class BusState:
    """`unreachable_since` is None where the bus answers, `back_at` when it last began to. `cut_at` is when it was
    seen that the connection had been lost and made again. `problem` is the broker's own word about its health.
    """

    unreachable_since: datetime | None = None
    back_at: datetime | None = None
    cut_at: datetime | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Letters:
    """The dead letters of a place: whose they are, and when the newest was set aside."""

    place: str
    durables: tuple[str, ...]
    newest: datetime


_PATIENT: Final = Patience()


def judge_services(
    expected_since: Mapping[tuple[str, str], datetime],
    seen: Iterable[ServiceSeen],
    *,
    start: Start,
    bus: BusState,
    now: datetime,
    patience: Patience = _PATIENT,
    halt: Halt | None = None,
) -> list[Finding]:
    """Judge every service that should report, and every other that did. `expected_since` is since when, by place and
    service.

    Where the registry itself couldn't hear, silence is counted from when it could again. `halt` is its own last.
    """
    known = {(item.place, item.service): item for item in seen}
    found = []
    if not start.clean and now - start.at < _RESTART_SHOWN:
        found.append(
            _finding(
                Alarm.SERVICE_RESTARTED,
                f"{HUB}/{Service.REGISTRY}",
                Severity.INFO,
                # With the time: a second one within that time is told anew.
                f"the registry started again at {start.at:%H:%M:%S} UTC after it had ended without a stop",
            )
        )
    for key in sorted(expected_since):
        item = known.get(key)
        subject = "/".join(key)
        silence = _silence(
            subject, item, expected_since[key], start=start, bus=bus, now=now, silent_after=patience.silent
        )
        if silence is not None:
            found.append(_finding(Alarm.SERVICE_SILENT, subject, Severity.WARNING, silence))
            continue
        if item is None:
            continue
        if item.not_ready is not None and item.not_ready_since and now - item.not_ready_since >= patience.not_ready:
            summary = f"{subject} is not ready: {item.not_ready}"
            found.append(_finding(Alarm.SERVICE_NOT_READY, subject, Severity.WARNING, summary))
    found += [
        _finding(Alarm.SERVICE_RESTARTED, f"{item.place}/{item.service}", Severity.INFO, _restart(item))
        for item in known.values()
        if _restarted(item, start=start, now=now)
    ]
    halts = {
        f"{item.place}/{item.service}": Halt(item.stood_still_s, item.stood_still_at)
        for item in known.values()
        if item.stood_still_s is not None and item.stood_still_at is not None
    }
    if halt is not None:
        halts[f"{HUB}/{Service.REGISTRY}"] = halt
    return [*found, *_halted(halts, now=now)]


def _halted(halts: Mapping[str, Halt], *, now: datetime) -> list[Finding]:
    return [
        _finding(
            Alarm.SERVICE_STOOD_STILL,
            subject,
            Severity.WARNING,
            # With the time: a second one within that time is told anew.
            f"{subject} stood still for {halt.seconds:.0f} s before {halt.noticed:%H:%M:%S} UTC: it was stopped,"
            " its machine gave it no time, or one of its own calls held it up",
        )
        for subject, halt in sorted(halts.items())
        if now - halt.noticed < _HALT_SHOWN
    ]


def _silence(
    subject: str,
    item: ServiceSeen | None,
    expected_since: datetime,
    *,
    start: Start,
    bus: BusState,
    now: datetime,
    silent_after: timedelta,
) -> str | None:
    if bus.unreachable_since is not None:
        return None
    if item is None or item.last_heartbeat is None:
        waited = now - max(expected_since, bus.back_at or expected_since)
        return f"{subject} never reported: was it started?" if waited > FIRST_START else None
    could_hear = max(item.last_heartbeat, start.at, bus.back_at or start.at)
    if now - could_hear <= silent_after:
        return None
    return f"{subject} has not reported since {item.last_heartbeat:%Y-%m-%d %H:%M:%S} UTC"


def _restarted(item: ServiceSeen, *, start: Start, now: datetime) -> bool:
    if item.restarted_at is None or now - item.restarted_at >= _RESTART_SHOWN:
        return False
    # The registry was stopped as it should be, and the service was started anew meanwhile: the system was.
    planned = start.clean and item.heard_before is not None and item.heard_before < start.at
    return not planned


def _restart(item: ServiceSeen) -> str:
    at = item.started or item.restarted_at
    return f"{item.place}/{item.service} was started again at {at:%Y-%m-%d %H:%M:%S} UTC"


def judge_bus(bus: BusState, *, now: datetime) -> list[Finding]:
    found = []
    if bus.unreachable_since is not None:
        if now - bus.unreachable_since >= _UNREACHABLE_AFTER:
            summary = "the registry can't reach the bus: nothing is delivered or reported meanwhile"
            found.append(_finding(Alarm.BUS_UNREACHABLE, "bus", Severity.CRITICAL, summary))
        return found
    if bus.cut_at is not None and now - bus.cut_at < _CUT_SHOWN:
        # With the time: a second one within that time is told anew.
        summary = (
            f"the connection to the bus was lost for a moment before {bus.cut_at:%H:%M:%S} UTC:"
            " the broker was started again, or the network failed"
        )
        found.append(_finding(Alarm.BUS_UNREACHABLE, "bus", Severity.WARNING, summary))
    if bus.problem is not None:
        found.append(_finding(Alarm.BUS_UNHEALTHY, "bus", Severity.CRITICAL, f"the broker: {bus.problem}"))
    return found


def judge_letters(letters: Iterable[Letters], *, now: datetime) -> list[Finding]:
    """New dead letters are told for an hour after the newest."""
    found = []
    for item in letters:
        if now - item.newest >= _LETTERS_SHOWN:
            continue
        more = f" and {len(item.durables) - _NAMED} more" if len(item.durables) > _NAMED else ""
        names = ", ".join(item.durables[:_NAMED])
        summary = f"events were set aside at {item.place}, which could not be handled by {names}{more}"
        found.append(_finding(Alarm.DEAD_LETTERS, item.place, Severity.WARNING, summary))
    return found


def _finding(reason: Alarm, subject: str, severity: Severity, summary: str) -> Finding:
    return Finding(reason, subject, severity, summary if len(summary) <= _TEXT else f"{summary[: _TEXT - 1]}…")
