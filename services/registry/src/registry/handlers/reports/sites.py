"""Reports of services about themselves: heartbeats, and reviews of a site's Secrets."""

from datetime import timedelta

import structlog

from certcore.clock import Clock
from certcore.events import Event, SiteHeartbeat, SiteReviewed
from certcore.subjects import Reporter
from certkit.bus import Handler
from registry.adapters.store import Transaction
from registry.domain.access import check_reporter
from registry.domain.site import STOOD_STILL_AFTER, heard_from
from registry.handlers.deployments import Deployments
from registry.handlers.reports.once import PATIENT_S, Once
from registry.handlers.reviews import Reviews

__all__ = ["SiteReports"]

log = structlog.get_logger()


class SiteReports:
    def __init__(
        self,
        *,
        once: Once,
        deployments: Deployments,
        reviews: Reviews,
        clock: Clock,
        stood_still_after: timedelta = STOOD_STILL_AFTER,
    ) -> None:
        self._once = once
        self._deployments = deployments
        self._reviews = reviews
        self._clock = clock
        self._stood_still_after = stood_still_after

    def handlers(self) -> dict[type[Event], Handler]:
        """What to subscribe to."""
        return {
            SiteHeartbeat: self._once.handler(self.on_heartbeat, patience_s=PATIENT_S),
            SiteReviewed: self._once.handler(self.on_review),
        }

    def on_heartbeat(self, transaction: Transaction, event: SiteHeartbeat, who: Reporter) -> None:
        """Store it. Placements of kinds that the service newly delivers are ordered now."""
        check_reporter(who, Reporter(event.site, event.service))
        before = transaction.services.get(event.site, event.service)
        seen = heard_from(before, event, now=self._clock(), stood_still_after=self._stood_still_after)
        transaction.services.save(seen)
        if before is None or before.kinds is None or event.kinds is None:
            return
        new = set(event.kinds) - set(before.kinds)
        if new:
            ordered = self._deployments.order_again(transaction, event.site, event.service, kinds=new)
            log.info("kinds_carried", place=event.site, service=event.service, kinds=sorted(new), ordered=ordered)

    def on_review(self, transaction: Transaction, event: SiteReviewed, who: Reporter) -> None:
        check_reporter(who, Reporter(event.site, "syncer"))
        self._reviews.replace(transaction, event)
