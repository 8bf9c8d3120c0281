"""Tells the registry that a service lives: what it can, since when it runs, what keeps it from its work, and how long
it stood still.
"""

from collections.abc import Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry

from certcore.clock import Clock
from certcore.events import CONTRACT, Event, SiteHeartbeat
from certkit.background import Background
from certkit.metric_names import HEARTBEAT, gauge
from certkit.readiness import Readiness
from certkit.standstill import Standstill

__all__ = ["Heartbeat", "Publisher"]


class Publisher(Protocol):
    """As `certkit.reports.StatusReports`; who isn't on the bus tells the registry itself."""

    async def publish(self, event: Event, *, about: str) -> None: ...


class Heartbeat:
    """Make one in a process, at its start: that is the moment that each heartbeat carries."""

    def __init__(
        self,
        publisher: Publisher,
        *,
        place: str,
        service: str,
        version: str,
        readiness: Readiness,
        metrics: CollectorRegistry,
        clock: Clock,
        kinds: Sequence[str] | None = None,
        clusters: Sequence[str] = (),
        standstill: Standstill | None = None,
    ) -> None:
        """`kinds` are the kinds of targets that it delivers to, None where it delivers nothing."""
        self._publisher = publisher
        self._place = place
        self._readiness = readiness
        self._clock = clock
        self._standstill = standstill if standstill is not None else Standstill()
        self._stored = gauge(HEARTBEAT, metrics).labels(place, service)
        self._event = SiteHeartbeat(
            site=place,
            service=service,
            version=version,
            clusters=tuple(clusters),
            kinds=tuple(sorted(kinds)) if kinds is not None else None,
            contract=CONTRACT,
            started=clock(),
        )

    def keep_beating(self, background: Background, *, every_s: float) -> None:
        """Add what it does to the background."""
        background.add("standstill", self._standstill.run)
        background.add_round("heartbeat", every_s, self.beat)

    async def beat(self) -> None:
        """A round of the background.

        Raises:
            TransientError: storing it wasn't confirmed.
        """
        not_ready = await self._readiness.reason()
        with self._standstill.telling() as stood_still_s:
            event = self._event.model_copy(update={"not_ready": not_ready, "stood_still_s": stood_still_s})
            await self._publisher.publish(event, about=self._place)
        self._stored.set(self._clock().timestamp())
