"""What the syncer asks of a place, and what it hears back."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from certcore.bundles import Bundle
from certcore.events import DeliveryReason, DeploymentOrdered
from certcore.targets import TargetSpec

__all__ = ["Failure", "Finding", "Target", "Wanted", "WriteReason"]


@dataclass(frozen=True)
class Wanted:
    """One revision for one target at one place: what must lie there, or something newer."""

    certificate_id: str
    name: str
    revision: int
    fingerprint_sha256: str
    not_after: datetime
    site: str
    target: TargetSpec

    @classmethod
    def of(cls, order: DeploymentOrdered, target: TargetSpec, *, site: str) -> "Wanted":
        return cls(
            certificate_id=order.certificate_id,
            name=order.name,
            revision=order.revision,
            fingerprint_sha256=order.fingerprint_sha256,
            not_after=order.not_after,
            site=site,
            target=target,
        )


class WriteReason(StrEnum):
    """Why a copy must be written: metric label, field of the log line."""

    MISSING = "missing"
    OLDER = "older"
    EDITED = "edited"
    NOT_RELOADED = "not_reloaded"


@dataclass(frozen=True)
class Failure:
    """Why a copy doesn't hold the revision; `detail` names the copy, for people."""

    reason: DeliveryReason
    detail: str
    retry_after: timedelta | None = None


@dataclass(frozen=True)
class Finding:
    """Of the copies at one place: why some lack the revision, and what stands in the way of others.

    Asked by `inspect`, `writes` are the ones to do; told by `deliver`, the ones that were done.
    """

    writes: tuple[WriteReason, ...] = ()
    failures: tuple[Failure, ...] = ()

    @classmethod
    def of(cls, parts: Iterable[WriteReason | Failure | None]) -> "Finding":
        """One part for each copy; None is a copy that holds the revision already."""
        parts = list(parts)
        return cls(
            writes=tuple(part for part in parts if isinstance(part, WriteReason)),
            failures=tuple(part for part in parts if isinstance(part, Failure)),
        )

    @property
    def edited_only(self) -> bool:
        """Whether every write mends a copy that had this very revision before."""
        return bool(self.writes) and all(reason is WriteReason.EDITED for reason in self.writes)


class Target(Protocol):
    """One place of this site. Every call is safe to repeat, at any time, and after a crash at any step of it.

    What fails is told in the finding, never raised; a copy that is not ours is never written. A reader of the
    place sees the old pair of certificate and key or the new one, and nothing else.
    """

    async def refresh(self) -> None:
        """Forget what is known of copies that somebody else may have changed since."""

    async def inspect(self, wanted: Wanted) -> Finding:
        """Look which copies lack the revision; nothing is written."""

    async def deliver(self, wanted: Wanted, bundle: Bundle) -> Finding:
        """Make every copy hold the revision; one that holds it is not written again."""

    async def close(self) -> None:
        """Let go of connections."""
