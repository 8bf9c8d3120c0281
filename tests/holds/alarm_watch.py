"""Watches which alarms are raised after each fault, and how long that took."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from certbus.errors import CommandError
from certcore.alerts import AlertView
from certkit.background import end_tasks
from certlocal.system import LocalSystem
from tests.holds.faces import alerts
from tests.holds.figures import Figure

__all__ = ["AlarmWatch", "Fault", "Telling", "watching_alarms"]


@dataclass
class Fault:
    """What was done, and the alarms of which one must tell it: reasons, and what the subject holds."""

    what: str
    reasons: Collection[str]
    about: Collection[str] = ()
    began: float = field(default_factory=time.monotonic)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    alarm: str = ""
    after_s: float | None = None

    def is_told_by(self, telling: "Telling") -> bool:
        """Whether it was told after this began, for such a reason and of such a subject."""
        named = not self.about or any(part in telling.subject for part in self.about)
        return telling.reason in self.reasons and named and telling.at > self.at


@dataclass(frozen=True)
class Telling:
    """An alarm that was raised, or told anew, `at` an instant; `seen` by the monotonic clock."""

    reason: str
    subject: str
    at: datetime
    seen: float


@dataclass
class AlarmWatch:
    faults: list[Fault] = field(default_factory=list)
    tellings: dict[tuple[str, datetime], Telling] = field(default_factory=dict)

    def begin(self, fault: Fault) -> None:
        self.faults.append(fault)

    def see(self, shown: Collection[AlertView]) -> None:
        """Each telling tells one fault; they are shared out so that as many faults as possible are told."""
        now = time.monotonic()
        for alert in shown:
            at = alert.since if alert.resolved_at else max(alert.since, alert.updated_at)
            self.tellings.setdefault((alert.id, at), Telling(alert.reason, alert.subject, at, now))
        told = _shared_out(self.faults, sorted(self.tellings.values(), key=lambda telling: telling.at))
        for number, fault in enumerate(self.faults):
            telling = told.get(number)
            fault.alarm = f"{telling.reason} of {telling.subject}" if telling is not None else ""
            fault.after_s = telling.seen - fault.began if telling is not None else None

    def missing(self) -> list[Fault]:
        return [fault for fault in self.faults if fault.after_s is None]

    async def all_told(self, *, within_s: float) -> None:
        """Wait until no alarm is missing, or the last that is missing is too late."""
        while missing := self.missing():
            if time.monotonic() > missing[-1].began + within_s:
                return
            await asyncio.sleep(1.0)

    def figures(self, limit: float) -> list[Figure]:
        never = float("inf")
        return [
            Figure(
                f"  {fault.what} → {fault.alarm or 'no alarm of ' + ', '.join(sorted(fault.reasons))}",
                never if fault.after_s is None else fault.after_s,
                limit,
            )
            for fault in self.faults
        ]


def _shared_out(faults: Sequence[Fault], tellings: Sequence[Telling]) -> dict[int, Telling]:
    """By the fault's number. A telling that is taken is given up where its fault has another."""
    taken: dict[int, int] = {}

    def take(fault: int, asked: set[int]) -> bool:
        for number, telling in enumerate(tellings):
            if number in asked or not faults[fault].is_told_by(telling):
                continue
            asked.add(number)
            if number not in taken or take(taken[number], asked):
                taken[number] = fault
                return True
        return False

    for fault in range(len(faults)):
        take(fault, set())
    return {fault: tellings[number] for number, fault in taken.items()}


@asynccontextmanager
async def watching_alarms(system: LocalSystem) -> AsyncIterator[AlarmWatch]:
    """Ask the registry each second, when it answers."""
    watch = AlarmWatch()

    async def look() -> None:
        while True:
            with suppress(CommandError):
                watch.see(await alerts(system))
            await asyncio.sleep(1.0)

    looking = asyncio.create_task(look())
    try:
        yield watch
    finally:
        await end_tasks([looking])
