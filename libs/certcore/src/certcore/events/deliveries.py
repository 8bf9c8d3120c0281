"""STATUS_<place>: what the services of a place report of their targets."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from certcore.events.event import Event
from certcore.placements import PLATFORM
from certcore.reading import Open

__all__ = [
    "CsrExpired",
    "CsrOffered",
    "DeliveryFailed",
    "DeliveryProgressed",
    "DeliveryReason",
    "DeliveryRolledBack",
    "DeliverySucceeded",
    "DeliveryWithdrawn",
    "PlacementReport",
]


class DeliveryReason(StrEnum):
    """Why a delivery failed: metric label, and what the page shows."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    CONFLICT = "conflict"
    UNKNOWN_PLACE = "unknown_place"
    UNKNOWN_KIND = "unknown_kind"
    UNREADABLE_ORDER = "unreadable_order"
    BUNDLE_UNAVAILABLE = "bundle_unavailable"
    BUNDLE_INVALID = "bundle_invalid"
    NOT_SERVED = "not_served"
    RELOAD_FAILED = "reload_failed"


class PlacementReport(Event):
    """A report about one placement. `generation` is the one that was carried out or tried."""

    certificate_id: str
    target: str
    generation: int
    revision: int
    variant: str = PLATFORM


class DeliverySucceeded(PlacementReport):
    """`repaired` says that the target held the revision before and had lost or changed it."""

    type: ClassVar = "certbus.delivery.succeeded.v2"

    fingerprint_sha256: str
    repaired: bool = False


class DeliveryFailed(PlacementReport):
    type: ClassVar = "certbus.delivery.failed.v2"

    reason: Open[DeliveryReason]
    detail: str
    next_try: AwareDatetime | None


class DeliveryProgressed(PlacementReport):
    """A slow delivery came a step further; `step` is the target kind's own word for it."""

    type: ClassVar = "certbus.delivery.progressed.v1"

    step: str
    detail: str = ""
    next_look: AwareDatetime | None = None


class DeliveryRolledBack(PlacementReport):
    """The target holds an earlier revision again, since `revision` could not be proven there."""

    type: ClassVar = "certbus.delivery.rolled_back.v1"

    held_revision: int | None
    held_fingerprint_sha256: str | None
    reason: Open[DeliveryReason]
    detail: str


class DeliveryWithdrawn(Event):
    """The target holds nothing of this certificate any more."""

    type: ClassVar = "certbus.delivery.withdrawn.v1"

    certificate_id: str
    target: str
    generation: int


class CsrOffered(Event):
    """A signing request (PKCS #10, PEM) whose key stays where it was made."""

    type: ClassVar = "certbus.csr.offered.v1"

    certificate_id: str
    target: str
    revision: int
    variant: str
    csr_pem: str


class CsrExpired(Event):
    """The target gave its pending key up; a certificate for the old request is of no use any more."""

    type: ClassVar = "certbus.csr.expired.v1"

    certificate_id: str
    target: str
    revision: int
    variant: str
    detail: str = ""
