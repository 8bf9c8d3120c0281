"""What a consumer's figures say of whoever reads it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

__all__ = ["STUCK_AFTER", "Figures", "Lag", "measured"]

STUCK_AFTER: Final = timedelta(seconds=60)


@dataclass(frozen=True)
class Figures:
    """As the broker tells them: messages not handed over yet, those handed over and not acknowledged, those of them
    handed over more than once, and how often one was handed over at all.
    """

    pending: int
    ack_pending: int
    redelivered: int
    handed_over: int


@dataclass(frozen=True)
class Lag:
    """`waiting_since` is None where nothing waits; `moved` is when a message was last seen to be handed over."""

    figures: Figures
    waiting_since: datetime | None
    moved: datetime

    def stuck(self, now: datetime) -> bool:
        """Messages wait, and nobody takes any: many that are taken one after the other are only work."""
        return self.waiting_since is not None and now - max(self.moved, self.waiting_since) >= STUCK_AFTER


def measured(before: Lag | None, figures: Figures, *, now: datetime) -> Lag:
    """The lag by the newest figures; `before` is what the look before found."""
    same = before is not None and before.figures.handed_over == figures.handed_over
    moved = before.moved if before is not None and same else now
    if figures.pending == 0:
        return Lag(figures, None, moved)
    since = before.waiting_since if before is not None and before.waiting_since is not None else now
    return Lag(figures, since, moved)
