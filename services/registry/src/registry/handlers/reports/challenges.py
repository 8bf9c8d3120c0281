"""Reports of syncers about the answers to challenges that they show."""

from certcore.clock import Clock
from certcore.events import ChallengeShown, Event
from certcore.identities import Service
from certcore.subjects import Reporter
from certkit.bus import Handler
from registry.adapters.store import Transaction
from registry.domain.access import check_reporter
from registry.domain.challenge import hear
from registry.handlers.reports.once import Once

__all__ = ["ChallengeReports"]


class ChallengeReports:
    def __init__(self, *, once: Once, clock: Clock) -> None:
        self._once = once
        self._clock = clock

    def handlers(self) -> dict[type[Event], Handler]:
        """What to subscribe to."""
        return {ChallengeShown: self._once.handler(self.on_shown)}

    def on_shown(self, transaction: Transaction, event: ChallengeShown, who: Reporter) -> None:
        check_reporter(who, Reporter(who.place, Service.SYNCER))
        before = transaction.challenges.get(who.place, event.challenge_token)
        if before is None:
            return
        after = hear(before, event, now=self._clock())
        if after is None:
            transaction.challenges.drop(before.site, before.token)
        elif after != before:
            transaction.challenges.save(after)
