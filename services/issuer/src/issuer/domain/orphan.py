"""What to do with an order at a CA that its job gave up."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from issuer.domain.ca_order import OrderStatus
from issuer.domain.errors import AcmeProblemError
from issuer.domain.order_record import OrderRecord

__all__ = ["OrphanMove", "is_gone", "is_past", "judge_orphan"]

_PAST: Final = timedelta(days=30)
"""No CA keeps an unfinished order for so long."""
_GONE: Final = frozenset({"malformed", "unauthorized", "accountDoesNotExist"})


class OrphanMove(StrEnum):
    DEACTIVATE = "deactivate"
    LOOK_AGAIN = "look_again"
    TELL = "tell"
    CLOSE = "close"


_MOVES: Final = {
    OrderStatus.PENDING: OrphanMove.DEACTIVATE,
    # What was proven is of use for the next order of these names; and somebody wants to know how it came to that.
    OrderStatus.READY: OrphanMove.TELL,
    OrderStatus.PROCESSING: OrphanMove.LOOK_AGAIN,
    OrderStatus.VALID: OrphanMove.TELL,
    OrderStatus.INVALID: OrphanMove.CLOSE,
}


def judge_orphan(status: OrderStatus) -> OrphanMove:
    return _MOVES[status]


def is_gone(problem: AcmeProblemError) -> bool:
    """Whether the CA has the order no more; where it is mistaken, an unfinished order stays there, and expires."""
    return problem.status in {404, 410} or problem.type in _GONE


def is_past(record: OrderRecord, *, now: datetime) -> bool:
    return record.ended_at is not None and now - record.ended_at >= _PAST
