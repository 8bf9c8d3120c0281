"""Reports of the issuer about revisions."""

from typing import Final

from certcore.clock import Clock
from certcore.events import Event, RevisionFailed, RevisionIssued, RevisionStarted
from certcore.subjects import HUB, Reporter
from certkit.bus import Handler
from registry.adapters.outbox import Outbox
from registry.adapters.store import Transaction
from registry.domain.access import check_reporter
from registry.domain.issuance import fail, issue, start
from registry.handlers.changes import save_change
from registry.handlers.reports.once import Once
from registry.handlers.reports.rollout import load_certificate, load_rollout

__all__ = ["RevisionReports"]

_ISSUER: Final = Reporter(HUB, "issuer")


class RevisionReports:
    def __init__(self, *, once: Once, outbox: Outbox, clock: Clock) -> None:
        self._once = once
        self._outbox = outbox
        self._clock = clock

    def handlers(self) -> dict[type[Event], Handler]:
        """What to subscribe to."""
        return {
            RevisionStarted: self._once.handler(self.on_started),
            RevisionIssued: self._once.handler(self.on_issued),
            RevisionFailed: self._once.handler(self.on_failed),
        }

    async def on_started(self, transaction: Transaction, event: RevisionStarted, who: Reporter) -> None:
        check_reporter(who, _ISSUER)
        certificate = await load_certificate(transaction, event.certificate_id)
        change = start(certificate, event, now=self._clock())
        await save_change(transaction, self._outbox, certificate, change)

    async def on_issued(self, transaction: Transaction, event: RevisionIssued, who: Reporter) -> None:
        check_reporter(who, _ISSUER)
        rollout = await load_rollout(transaction, event.certificate_id)
        sealed = await transaction.revisions.sealed_keys(event.certificate_id, event.revision)
        change = issue(rollout, event, sealed, now=self._clock())
        await save_change(transaction, self._outbox, rollout.certificate, change)

    async def on_failed(self, transaction: Transaction, event: RevisionFailed, who: Reporter) -> None:
        check_reporter(who, _ISSUER)
        certificate = await load_certificate(transaction, event.certificate_id)
        change = fail(certificate, event, now=self._clock())
        await save_change(transaction, self._outbox, certificate, change)
