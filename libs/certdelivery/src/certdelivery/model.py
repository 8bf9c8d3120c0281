"""The arguments and results of a destination's calls. Pure: a domain may import it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from certcore.events import DeliveryReason
from certcore.intent import Target

__all__ = ["Destination", "Failure", "Finding", "Held", "Progress", "Wanted", "Withdrawal", "WriteReason"]


@dataclass(frozen=True, order=True)
class Destination:
    """One part of a place that can be out of reach by itself: a cluster, a store of files, a balancer, an account."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Wanted:
    """What one target should hold at one destination. `place` is the site, or `hub`."""

    certificate_id: str
    name: str
    target: Target
    place: str
    generation: int
    revision: int
    variant: str
    fingerprint_sha256: str
    serial: str
    not_after: datetime


@dataclass(frozen=True)
class Withdrawal:
    """One target that should no longer hold this certificate at one destination."""

    certificate_id: str
    name: str
    target: Target
    place: str
    generation: int


@dataclass(frozen=True)
class Held:
    """What a destination holds of a certificate. What was written before there were generations has none, and is
    compared by the number of its revision; `revision` is None where the destination didn't store that either.
    """

    revision: int | None
    fingerprint_sha256: str
    generation: int | None = None

    @property
    def order(self) -> int | None:
        """The generation by which it is compared."""
        return self.generation if self.generation is not None else self.revision


class WriteReason(StrEnum):
    """Why something must be written: metric label, field of the log line."""

    MISSING = "missing"
    OLDER = "older"
    EDITED = "edited"
    NOT_ACTIVE = "not_active"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Failure:
    """Why the wanted revision isn't held; `detail` names the copy, for people. `out`: nothing of the destination can
    be reached, whatever is asked of it; the engine then lets one delivery at a time look for it.
    """

    reason: DeliveryReason
    detail: str
    retry_after: timedelta | None = None
    out: bool = False


@dataclass(frozen=True)
class Progress:
    """A slow delivery is under way: `step` in the words of its kind, `next_look` when to inspect it again."""

    step: str
    detail: str = ""
    next_look: datetime | None = None


@dataclass(frozen=True)
class Finding:
    """Returned by `inspect`: the writes that are needed. By `deliver` and `withdraw`: the writes that were done.

    `failures` concern some copies. With `progress` the delivery isn't finished. `newer` is what copies hold that have
    a higher generation than the wanted one (the highest of them); they are left as they are.
    """

    writes: tuple[WriteReason, ...] = ()
    failures: tuple[Failure, ...] = ()
    progress: Progress | None = None
    newer: Held | None = None

    @classmethod
    def of(cls, parts: Iterable[WriteReason | Failure | Held | None]) -> "Finding":
        """One part for each copy: None holds the revision already, Held a newer generation."""
        parts = list(parts)
        newer = [part for part in parts if isinstance(part, Held)]
        return cls(
            writes=tuple(part for part in parts if isinstance(part, WriteReason)),
            failures=tuple(part for part in parts if isinstance(part, Failure)),
            newer=max(newer, key=lambda held: held.order or 0, default=None),
        )

    @classmethod
    def failed(cls, reason: DeliveryReason, detail: str, *, retry_after: timedelta | None = None) -> "Finding":
        return cls(failures=(Failure(reason, detail, retry_after),))

    @property
    def edited_only(self) -> bool:
        """Whether every write repairs a copy that held this revision before."""
        return bool(self.writes) and all(reason is WriteReason.EDITED for reason in self.writes)
