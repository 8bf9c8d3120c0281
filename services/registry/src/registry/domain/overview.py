"""What a list shows of a rollout."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

__all__ = ["NOTHING_YET", "Overview"]


@dataclass(frozen=True)
class Overview:
    """The revision that targets should hold, when it ends, and at how many targets and endpoints it is.

    Kept with the certificate at each of its saves: a list reads one row each.
    """

    revision: int | None = None
    not_after: datetime | None = None
    targets_done: int = 0
    targets_total: int = 0
    endpoints_done: int = 0
    endpoints_total: int = 0


NOTHING_YET: Final = Overview()
