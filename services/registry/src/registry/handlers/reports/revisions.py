"""Reports of the issuer about revisions."""

from typing import Final

import structlog

from certcore.clock import Clock
from certcore.events import (
    Event,
    RevisionFailed,
    RevisionIssued,
    RevisionRenewalWindow,
    RevisionStarted,
    RevisionWaits,
)
from certcore.identities import HUB
from certcore.subjects import Reporter
from certkit.bus import Handler
from registry.adapters.store import Transaction
from registry.domain.access import check_reporter
from registry.domain.issuance import fail, start
from registry.domain.issue_waits import wait
from registry.domain.suggestion import suggest
from registry.handlers.changes import Changes
from registry.handlers.issued import save_issued
from registry.handlers.reports.once import PATIENT_S, Once
from registry.handlers.reports.rollout import load_rollout

__all__ = ["RevisionReports"]

log = structlog.get_logger()

_ISSUER: Final = Reporter(HUB, "issuer")


class RevisionReports:
    def __init__(self, *, once: Once, changes: Changes, clock: Clock) -> None:
        self._once = once
        self._changes = changes
        self._clock = clock

    def handlers(self) -> dict[type[Event], Handler]:
        """What to subscribe to."""
        return {
            RevisionStarted: self._once.handler(self.on_started, patience_s=PATIENT_S),
            RevisionIssued: self._once.handler(self.on_issued),
            RevisionFailed: self._once.handler(self.on_failed),
            RevisionWaits: self._once.handler(self.on_waits, patience_s=PATIENT_S),
            RevisionRenewalWindow: self._once.handler(self.on_window, patience_s=PATIENT_S),
        }

    def on_started(self, transaction: Transaction, event: RevisionStarted, who: Reporter) -> None:
        check_reporter(who, _ISSUER)
        rollout = load_rollout(transaction, event.certificate_id)
        self._changes.save(transaction, rollout, start(rollout, event, now=self._clock()))

    def on_issued(self, transaction: Transaction, event: RevisionIssued, who: Reporter) -> None:
        check_reporter(who, _ISSUER)
        rollout = load_rollout(transaction, event.certificate_id)
        save_issued(transaction, self._changes, rollout, event, now=self._clock())

    def on_failed(self, transaction: Transaction, event: RevisionFailed, who: Reporter) -> None:
        check_reporter(who, _ISSUER)
        rollout = load_rollout(transaction, event.certificate_id)
        self._changes.save(transaction, rollout, fail(rollout, event, now=self._clock()))

    def on_waits(self, transaction: Transaction, event: RevisionWaits, who: Reporter) -> None:
        check_reporter(who, _ISSUER)
        rollout = load_rollout(transaction, event.certificate_id)
        self._changes.save(transaction, rollout, wait(rollout, event, now=self._clock()))

    def on_window(self, transaction: Transaction, event: RevisionRenewalWindow, who: Reporter) -> None:
        check_reporter(who, _ISSUER)
        rollout = transaction.rollouts.get(event.certificate_id)
        if rollout is None:
            # Of what a restored registry lost: the issuer goes on to ask for it until it expires.
            log.info("renewal_window_of_unknown", certificate_id=event.certificate_id)
            return
        self._changes.save(transaction, rollout, suggest(rollout, event))
