"""Places: sites, their services and who there receives sealed keys."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from certcore.events import Recipient
from certcore.identities import HUB
from certcore.placements import PLATFORM
from registry.domain.placement import Placement

__all__ = [
    "SILENT_AFTER",
    "Carried",
    "ServiceSeen",
    "Site",
    "expected_services",
    "is_silent",
    "recipient_names",
    "recipients",
]

SILENT_AFTER: Final = timedelta(seconds=45)
"""Three heartbeats."""

Carried = Mapping[tuple[str, str], frozenset[str]]
"""The kinds of targets that a service delivers to, by place and service. An older one is missing, since it
reported no kinds: it is assumed to deliver all.
"""


@dataclass(frozen=True)
class Site:
    """A place with recipients: a site, or the hub. `services` are those that it enrolled."""

    name: str
    recipients: tuple[Recipient, ...]
    services: tuple[str, ...]


@dataclass(frozen=True)
class ServiceSeen:
    """A service of a place, by its last heartbeat. `kinds` is None where it reported none."""

    place: str
    service: str
    version: str | None
    last_heartbeat: datetime | None
    kinds: tuple[str, ...] | None = None
    contract: int | None = None


def is_silent(seen: ServiceSeen, *, now: datetime) -> bool:
    return seen.last_heartbeat is None or now - seen.last_heartbeat > SILENT_AFTER


def expected_services(sites: Iterable[Site]) -> set[tuple[str, str]]:
    """Place and service of everything that should report: the central services, and what each place enrolled."""
    placed = {(site.name, service) for site in sites for service in site.services}
    return {(HUB, "issuer"), (HUB, "monitor"), *placed}


def recipient_names(placements: Iterable[Placement]) -> set[str]:
    """To whom the platform's key of each revision is sealed: the services that deliver it."""
    return {placement.recipient for placement in placements if placement.variant == PLATFORM}


def recipients(placements: Iterable[Placement], sites: Iterable[Site]) -> tuple[Recipient, ...]:
    """The recipients of the platform's key, with their public keys."""
    wanted = recipient_names(placements)
    return tuple(recipient for site in sites for recipient in site.recipients if recipient.name in wanted)
