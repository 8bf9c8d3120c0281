"""The registry's own alerts: their state in its rows, and an event for each change through the outbox."""

from collections.abc import Iterable
from typing import Final

from certcore.clock import Clock
from certcore.events import Severity
from registry.adapters.outbox import SOURCE, Outbox
from registry.adapters.store import Transaction
from registry.domain.alert import PLATFORM_OWNER, AlertRecord, Finding, alert_id, raised, resolved

__all__ = ["Alarms"]

_SUMMARY: Final = 1000


class Alarms:
    """Part of the caller's transaction: an alert and its event are stored with what it is about, or not at all.

    Both calls may be repeated: an alert that is open already, or isn't, changes nothing and announces nothing.
    """

    def __init__(self, *, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock

    def raise_(
        self,
        transaction: Transaction,
        *,
        reason: str,
        subject: str,
        severity: Severity,
        summary: str,
        owner: str = PLATFORM_OWNER,
    ) -> None:
        """Raise an alert, or give the open one another severity or summary.

        `reason` and `subject` are its identity: one word for machines, and where it is. `summary` is a sentence.
        """
        before = transaction.alerts.get(alert_id(owner=owner, about=subject, reason=reason))
        finding = Finding(reason, subject, severity, summary[:_SUMMARY])
        record, event = raised(before, finding, now=self._clock(), source=SOURCE, owner=owner)
        if event is not None:
            transaction.alerts.save(record)
            self._outbox.alert(transaction, event)

    def resolve(self, transaction: Transaction, *, reason: str, subject: str, owner: str = PLATFORM_OWNER) -> None:
        """End an alert, if it is open."""
        before = transaction.alerts.get(alert_id(owner=owner, about=subject, reason=reason))
        record, event = resolved(before, now=self._clock())
        if record is not None and event is not None:
            transaction.alerts.save(record)
            self._outbox.alert(transaction, event)

    def settle(self, transaction: Transaction, found: Iterable[Finding], *, reasons: Iterable[str]) -> None:
        """Raise what was found, and end every other open alert for these reasons."""
        wrong = {(finding.reason, finding.subject): finding for finding in found}
        for finding in wrong.values():
            self.raise_(
                transaction,
                reason=finding.reason,
                subject=finding.subject,
                severity=finding.severity,
                summary=finding.summary,
            )
        for record in transaction.alerts.open(source=SOURCE, reasons=reasons):
            if (record.reason, record.subject) not in wrong:
                self.resolve(transaction, reason=record.reason, subject=record.subject, owner=record.owner)

    @staticmethod
    def differ(open_alerts: Iterable[AlertRecord], found: Iterable[Finding]) -> bool:
        """Whether `settle` would change anything."""
        present = {(item.reason, item.subject, item.severity, item.summary) for item in open_alerts}
        return present != {(item.reason, item.subject, str(item.severity), item.summary) for item in found}
