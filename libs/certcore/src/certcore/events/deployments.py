"""DEPLOY_<place>: registry → the services of that place."""

from typing import ClassVar

from pydantic import AwareDatetime

from certcore.certificate import KeyAlgorithm
from certcore.events.event import Event
from certcore.intent import Target
from certcore.placements import PlacementOrder
from certcore.reading import Items, Open

__all__ = ["CsrWanted", "DeploymentOrdered"]


class DeploymentOrdered(Event):
    """What each target of one service of a place should hold. Of two orders for a placement, the higher generation
    counts, whatever its revision.
    """

    type: ClassVar = "certbus.deployment.ordered.v2"

    certificate_id: str
    name: str
    placements: Items[PlacementOrder]
    traceparent: str | None = None


class CsrWanted(Event):
    """A target that holds its own key shall offer a signing request for this revision of its variant."""

    type: ClassVar = "certbus.csr.wanted.v1"

    certificate_id: str
    name: str
    revision: int
    variant: str
    target: Target
    dns_names: tuple[str, ...]
    key_algorithm: Open[KeyAlgorithm]
    deadline: AwareDatetime | None = None
    traceparent: str | None = None
