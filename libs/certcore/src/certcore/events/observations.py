"""LAST_<place>: what a probe worker saw, and that it looked."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from certcore.events.event import Event
from certcore.placements import PLATFORM
from certcore.reading import Items, Open, ReadModel

__all__ = ["AddressObserved", "EndpointObserved", "MissedEndpoint", "ProbeRound", "ServingVerdict"]


class ServingVerdict(StrEnum):
    """What one look at an endpoint found, worst last where several addresses differ."""

    WANTED = "wanted"
    PREVIOUS = "previous"
    OTHER = "other"
    EXPIRED = "expired"
    WRONG_HOST = "wrong_host"
    UNTRUSTED = "untrusted"
    TLS_FAILED = "tls_failed"
    UNREACHABLE = "unreachable"


class AddressObserved(ReadModel):
    address: str
    verdict: Open[ServingVerdict]
    fingerprint_sha256: str | None
    detail: str = ""


class EndpointObserved(Event):
    """`in_a_row` counts the looks in a row that found a fault, whichever: 0 where this one found none. The worker
    publishes a fault from the second look on, so a reader needs no count of its own; None is an older worker's.
    """

    type: ClassVar = "certbus.endpoint.observed.v1"

    certificate_id: str
    url: str
    verdict: Open[ServingVerdict]
    served_revision: int | None
    served_fingerprint_sha256: str | None
    addresses: Items[AddressObserved]
    observed_at: AwareDatetime
    served_variant: str = PLATFORM
    in_a_row: int | None = None
    generation: int | None = None


class MissedEndpoint(ReadModel):
    certificate_id: str
    url: str


class ProbeRound(Event):
    """A worker looked at `looked` endpoints since `started`: at all that it watches, except those in `missed`.

    `period_s` is the longest time between two looks at an endpoint where nothing is new. `missed` names no more than
    1,000; where `missed_count` is higher than that, any endpoint that it doesn't name may be missed too.
    """

    type: ClassVar = "certbus.endpoint.probe_round.v1"

    worker: str
    started: AwareDatetime
    ended: AwareDatetime
    period_s: float
    looked: int
    missed: Items[MissedEndpoint] = ()
    missed_count: int | None = None
