"""What a step of a job means for the record of its order at the CA."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from issuer.domain.failure import FailureReason
from issuer.domain.job import Job, JobState
from issuer.domain.order_record import RecordedState
from issuer.domain.revoked import Revocation

__all__ = ["Ended", "FinalizeSent", "Opened", "OrderChange", "Revoked", "order_changes"]


@dataclass(frozen=True)
class Opened:
    url: str
    finalize_sent_at: datetime | None


@dataclass(frozen=True)
class FinalizeSent:
    url: str
    at: datetime


@dataclass(frozen=True)
class Ended:
    """Counts only for an order that is open: one that was issued stays issued, whatever becomes of its bundle."""

    url: str
    state: RecordedState


@dataclass(frozen=True)
class Revoked:
    """What the order came to is revoked."""

    url: str
    revocation: Revocation


_WHY_INVALID: Final = frozenset(
    {
        FailureReason.ORDER_INVALID,
        FailureReason.CAA_FORBIDS,
        FailureReason.NAME_REJECTED,
        FailureReason.NAME_UNREACHABLE,
    }
)
OrderChange = Opened | FinalizeSent | Ended | Revoked


def order_changes(before: Job, after: Job) -> Sequence[OrderChange]:
    """In the order in which they are recorded."""
    old, new = before.ca_order, after.ca_order
    changes: list[OrderChange] = []
    if old is not None and (new is None or new.url != old.url):
        changes.append(Ended(old.url, _end_of(after)))
    if new is None:
        return changes
    if old is None or new.url != old.url:
        changes.append(Opened(new.url, new.finalize_sent_at))
    elif new.finalize_sent_at is not None and new.finalize_sent_at != old.finalize_sent_at:
        changes.append(FinalizeSent(new.url, new.finalize_sent_at))
    if after.state is JobState.ISSUED and before.state is not JobState.ISSUED:
        changes.append(Ended(new.url, RecordedState.ISSUED))
    if after.revocation is not None and before.revocation is None:
        changes.append(Revoked(new.url, after.revocation))
    return changes


def _end_of(after: Job) -> RecordedState:
    """Where nobody knows how an order stands at the CA, it may be open there."""
    if after.reason is FailureReason.ORDER_LOST:
        return RecordedState.LOST
    return RecordedState.INVALID if after.reason in _WHY_INVALID else RecordedState.ABANDONED
