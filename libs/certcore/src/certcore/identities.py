"""Who is who: the one table of places, services, their names on the bus, and what they call themselves in events.

| name | example |
|---|---|
| identity: account and NKey on the bus | `registry`, `hub-pusher`, `site1-syncer`, `owner-payments` |
| durable: consumer of a service | its identity; the registry has also `registry-alerts` and `requests-<owner>` |
| source: `ce-source` of its events | `certbus/site1/syncer` |
| recipient: whose HPKE key it is | `site1-syncer`, `escrow` |
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

__all__ = [
    "ALERTS_DURABLE",
    "ESCROW",
    "HUB",
    "OPERATOR",
    "READS_REPORTS",
    "REQUESTS_DURABLES",
    "Service",
    "alerts_durable",
    "dead_lettered_at",
    "deliverers_at",
    "durable",
    "identity",
    "owner_identity",
    "places",
    "recipient_name",
    "requests_durable",
    "services_at",
    "source",
]

HUB: Final = "hub"
"""The place of what belongs to no site; no site may be called so."""

ESCROW: Final = "escrow"
"""The recipient that can seal a key again for others. It belongs to no place, and has no name on the bus."""

OPERATOR: Final = "operator"
"""Declares streams and consumers; it publishes no event."""


class Service(StrEnum):
    REGISTRY = "registry"
    ISSUER = "issuer"
    MONITOR = "monitor"
    SYNCER = "syncer"
    PUSHER = "pusher"


_CENTRAL: Final = frozenset({Service.REGISTRY, Service.ISSUER, Service.MONITOR})

READS_REPORTS: Final = "registry"
"""The registry's durable on STATUS_<place> and LAST_<place>, and nobody else's on any stream."""

ALERTS_DURABLE: Final = "registry-alerts"
REQUESTS_DURABLES: Final = "requests-"
"""What the names of the registry's durables on REQUESTS begin with: one for each owner."""


def places(sites: Iterable[str]) -> tuple[str, ...]:
    """The sites and the hub, sorted.

    Raises:
        ValueError: a site has the hub's name.
    """
    names = set(sites)
    if HUB in names:
        raise ValueError(f"no site may be called {HUB}")
    return tuple(sorted({*names, HUB}))


def services_at(place: str) -> tuple[Service, ...]:
    """The services that may run at a place."""
    if place == HUB:
        return (Service.REGISTRY, Service.ISSUER, Service.MONITOR, Service.PUSHER)
    return (Service.SYNCER, Service.PUSHER)


def deliverers_at(place: str) -> tuple[Service, ...]:
    """Those of them that carry out deployment orders."""
    return tuple(service for service in services_at(place) if service not in _CENTRAL)


def identity(place: str, service: str) -> str:
    """The account and key of a service on the bus. The central services at the hub have their own names."""
    if place == HUB and service in _CENTRAL:
        return str(service)
    return f"{place}-{service}"


def owner_identity(owner: str) -> str:
    return f"owner-{owner}"


def durable(place: str, service: str) -> str:
    """The consumer by which a service reads what is ordered or told to it."""
    return identity(place, service)


def requests_durable(owner: str) -> str:
    """The consumer by which the registry reads an owner's requests."""
    return f"{REQUESTS_DURABLES}{owner}"


def alerts_durable(owner: str) -> str:
    """The consumer by which an owner reads its alerts."""
    return f"alerts-{owner}"


def dead_lettered_at(place: str, owners: Iterable[str] = ()) -> tuple[str, ...]:
    """The durables whose dead letters are kept at a place: those that its services read."""
    read = tuple(durable(place, service) for service in services_at(place))
    if place == HUB:
        read += (ALERTS_DURABLE, *map(requests_durable, owners))
    return read


def source(place: str, service: str) -> str:
    """The `ce-source` of a service's events."""
    return f"certbus/{place}/{service}"


def recipient_name(place: str, service: str) -> str:
    """Whose key a bundle is sealed to."""
    return f"{place}-{service}"
