"""What a decision about a certificate changes."""

from dataclasses import dataclass, replace
from typing import Self

from certcore.events import Event
from registry.domain.certificate import Certificate
from registry.domain.deployment import Deployment
from registry.domain.endpoint import Endpoint
from registry.domain.placement import Placement
from registry.domain.revision import Revision, SigningRequest
from registry.domain.signing import WantedCsr

__all__ = ["Announced", "Change"]

Announced = Event | Deployment | WantedCsr
"""An event for everyone, or what one service of one place is ordered to do."""


@dataclass(frozen=True)
class Change:
    """Save what is given, then announce in this order. `reason` is why, also where nothing changes."""

    reason: str
    certificate: Certificate | None = None
    revision: Revision | None = None
    placements: tuple[Placement, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    signing: tuple[SigningRequest, ...] = ()
    announced: tuple[Announced, ...] = ()

    def after(self, *announced: Announced) -> Self:
        """The same, with what is announced before."""
        return replace(self, announced=(*announced, *self.announced))
