"""Reports of syncers and pushers about deliveries."""

from collections.abc import Callable
from typing import TypeVar

from certcore.clock import Clock
from certcore.errors import InspectionError, PermanentError
from certcore.events import (
    CsrExpired,
    CsrOffered,
    DeliveryFailed,
    DeliveryFailedV1,
    DeliveryProgressed,
    DeliveryRolledBack,
    DeliverySucceeded,
    DeliverySucceededV1,
    DeliveryWithdrawn,
    Event,
)
from certcore.inspection import read_csr
from certcore.subjects import Reporter
from certkit.bus import Handler, upgrading
from registry.adapters.store import Transaction
from registry.domain.change import Change
from registry.domain.issuance import expire_csr, offer_csr
from registry.domain.proof import deliver, fail_delivery, progress_delivery, roll_back, withdraw
from registry.domain.rollout import Rollout
from registry.handlers.changes import Changes
from registry.handlers.reports.once import Once
from registry.handlers.reports.rollout import load_rollout

__all__ = ["DeliveryReports"]

ReportT = TypeVar(
    "ReportT",
    DeliverySucceeded,
    DeliveryFailed,
    DeliveryProgressed,
    DeliveryRolledBack,
    DeliveryWithdrawn,
    CsrExpired,
)


class DeliveryReports:
    def __init__(self, *, once: Once, changes: Changes, clock: Clock) -> None:
        self._once = once
        self._changes = changes
        self._clock = clock

    def handlers(self) -> dict[type[Event], Handler]:
        """What to subscribe to."""
        succeeded, failed = self._decided(deliver), self._decided(fail_delivery)
        return {
            DeliverySucceeded: succeeded,
            DeliverySucceededV1: upgrading(succeeded),
            DeliveryFailed: failed,
            DeliveryFailedV1: upgrading(failed),
            DeliveryProgressed: self._decided(progress_delivery),
            DeliveryRolledBack: self._decided(roll_back),
            DeliveryWithdrawn: self._decided(withdraw),
            CsrOffered: self._once.handler(self.on_csr_offered),
            CsrExpired: self._decided(expire_csr),
        }

    def _decided(self, decide: Callable[..., Change]) -> Handler:
        """A handler that loads the certificate, decides by the report, and saves what that changes."""

        def effect(transaction: Transaction, event: ReportT, who: Reporter) -> None:
            rollout: Rollout = load_rollout(transaction, event.certificate_id)
            self._changes.save(transaction, rollout, decide(rollout, event, who, now=self._clock()))

        return self._once.handler(effect)

    def on_csr_offered(self, transaction: Transaction, event: CsrOffered, who: Reporter) -> None:
        rollout = load_rollout(transaction, event.certificate_id)
        try:
            spki = read_csr(event.csr_pem.encode()).spki_sha256
        except InspectionError as error:
            raise PermanentError(f"the offered {error}") from None
        is_known_key = transaction.revisions.has_key(spki)
        approval = transaction.approvals.get(rollout.certificate.approval_id)
        change = offer_csr(rollout, event, who, approval, is_known_key=is_known_key, now=self._clock())
        self._changes.save(transaction, rollout, change)
