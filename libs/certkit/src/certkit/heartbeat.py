"""Tells the registry that a service lives: what it can, since when it runs, what keeps it from its work, and how long
it stood still.
"""

import time
from collections.abc import Callable, Sequence
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
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`kinds` are the kinds of targets that it delivers to, None where it delivers nothing."""
        self._publisher = publisher
        self._place = place
        self._readiness = readiness
        self._clock = clock
        self._standstill = standstill if standstill is not None else Standstill()
        self._now = now
        self._unready_told: float | None = None
        """When the first heartbeat was stored that said that the service isn't ready; None where it is."""
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
        if not_ready is None:
            self._unready_told = None
        not_ready_s = self._now() - self._unready_told if self._unready_told is not None else 0.0
        with self._standstill.telling() as stood_still_s:
            said = {"not_ready": not_ready, "not_ready_s": not_ready_s, "stood_still_s": stood_still_s}
            await self._publisher.publish(self._event.model_copy(update=said), about=self._place)
        if not_ready is not None and self._unready_told is None:
            self._unready_told = self._now()
        self._stored.set(self._clock().timestamp())
