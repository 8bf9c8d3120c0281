"""What a decision about a certificate changes."""

from dataclasses import dataclass

from certcore.events import Event
from registry.domain.certificate import Certificate, Delivery, Endpoint, Revision
from registry.domain.deployment import Deployment

__all__ = ["Change"]


@dataclass(frozen=True)
class Change:
    """Save what is given, then announce the events and order the deployments, in this order.

    `reason` says why, also where nothing changes.
    """

    reason: str
    certificate: Certificate | None = None
    revision: Revision | None = None
    deliveries: tuple[Delivery, ...] = ()
    endpoint: Endpoint | None = None
    announced: tuple[Event | Deployment, ...] = ()
