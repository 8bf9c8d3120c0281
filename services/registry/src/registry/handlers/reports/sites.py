"""Reports of sites about themselves: heartbeats, and reviews of their Secrets."""

from certcore.clock import Clock
from certcore.events import Event, SiteHeartbeat, SiteReviewed
from certcore.subjects import Reporter
from certkit.bus import Handler
from registry.adapters.store import Transaction
from registry.domain.access import check_reporter
from registry.handlers.reports.once import Once

__all__ = ["SiteReports"]


class SiteReports:
    def __init__(self, *, once: Once, clock: Clock) -> None:
        self._once = once
        self._clock = clock

    def handlers(self) -> dict[type[Event], Handler]:
        """What to subscribe to."""
        return {
            SiteHeartbeat: self._once.handler(self.on_heartbeat),
            SiteReviewed: self._once.handler(self.on_review),
        }

    async def on_heartbeat(self, transaction: Transaction, event: SiteHeartbeat, who: Reporter) -> None:
        check_reporter(who, Reporter(event.site, event.service))
        await transaction.sites.note_heartbeat(event.site, self._clock())

    async def on_review(self, transaction: Transaction, event: SiteReviewed, who: Reporter) -> None:
        check_reporter(who, Reporter(event.site, "syncer"))
        await transaction.sites.save_review(event.site, event.secrets, event.unreachable, self._clock())
