"""Watches which alarms are raised after each fault, and how long that took."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from certbus.errors import CommandError
from certcore.alerts import AlertView
from certlocal.system import LocalSystem
from tests.holds.faces import alerts
from tests.holds.figures import Figure

__all__ = ["AlarmWatch", "Fault", "watching_alarms"]


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

    def is_told_by(self, alert: AlertView) -> bool:
        return alert.reason in self.reasons and (not self.about or any(part in alert.subject for part in self.about))


@dataclass
class AlarmWatch:
    faults: list[Fault] = field(default_factory=list)

    def begin(self, fault: Fault) -> None:
        self.faults.append(fault)

    def see(self, shown: Collection[AlertView]) -> None:
        """An alarm tells a fault if it was raised, or told anew, after it."""
        now = time.monotonic()
        for fault in self.faults:
            if fault.after_s is not None:
                continue
            for alert in shown:
                told_at = alert.since if alert.resolved_at else max(alert.since, alert.updated_at)
                if fault.is_told_by(alert) and told_at > fault.at:
                    fault.alarm, fault.after_s = f"{alert.reason} of {alert.subject}", now - fault.began
                    break

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
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
