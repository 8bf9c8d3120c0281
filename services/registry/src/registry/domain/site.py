"""Places: sites, their services and who there receives sealed keys."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from certcore.events import Recipient, SiteHeartbeat
from certcore.identities import ESCROW, HUB
from certcore.placements import PLATFORM
from registry.domain.placement import Placement

__all__ = [
    "SILENT_AFTER",
    "STOOD_STILL_AFTER",
    "Carried",
    "ServiceSeen",
    "Site",
    "expected_services",
    "heard_from",
    "is_silent",
    "recipient_names",
    "recipients",
]

SILENT_AFTER: Final = timedelta(seconds=45)
"""Three heartbeats."""

STOOD_STILL_AFTER: Final = timedelta(seconds=10)
"""A pause of a process that is so long is a fault."""

_VERSION: Final = 64
_NOT_READY: Final = 1000
_LONGEST_S: Final = 30 * 86400.0
"""What a service says of itself is believed up to here."""

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
    """A service of a place, by its last heartbeat. `kinds` is None where it reported none.

    `not_ready` is what it says of its readiness, None where it is ready. `restarted_at` is when it was first heard
    after another start, `heard_before` when it was last heard before that. `stood_still_s` is how long it stood still
    the last time that this was a fault, `stood_still_at` when that was first heard.
    """

    place: str
    service: str
    version: str | None
    last_heartbeat: datetime | None
    kinds: tuple[str, ...] | None = None
    contract: int | None = None
    started: datetime | None = None
    not_ready: str | None = None
    not_ready_since: datetime | None = None
    restarted_at: datetime | None = None
    heard_before: datetime | None = None
    stood_still_s: float | None = None
    stood_still_at: datetime | None = None


def heard_from(
    before: ServiceSeen | None,
    event: SiteHeartbeat,
    *,
    now: datetime,
    stood_still_after: timedelta = STOOD_STILL_AFTER,
) -> ServiceSeen:
    """The service after a heartbeat."""
    seen = ServiceSeen(
        place=event.site,
        service=event.service,
        version=event.version[:_VERSION],
        last_heartbeat=now,
        kinds=event.kinds,
        contract=event.contract,
        started=event.started,
        not_ready=event.not_ready[:_NOT_READY] if event.not_ready is not None else None,
    )
    if seen.not_ready is not None:
        since = before.not_ready_since if before is not None and before.not_ready is not None else None
        # The registry may have been away when it was said first.
        told = timedelta(seconds=event.not_ready_s if 0.0 <= event.not_ready_s <= _LONGEST_S else 0.0)
        seen = replace(seen, not_ready_since=min(since or now, now - told))
    told_before = before.stood_still_s if before is not None else None
    pause_s = min(event.stood_still_s, _LONGEST_S)
    if pause_s >= stood_still_after.total_seconds() and pause_s != told_before:
        seen = replace(seen, stood_still_s=pause_s, stood_still_at=now)
    elif before is not None:
        seen = replace(seen, stood_still_s=before.stood_still_s, stood_still_at=before.stood_still_at)
    if before is None:
        return seen
    if before.started is not None and seen.started is not None and seen.started != before.started:
        return replace(seen, restarted_at=now, heard_before=before.last_heartbeat)
    return replace(seen, restarted_at=before.restarted_at, heard_before=before.heard_before)


def is_silent(seen: ServiceSeen, *, now: datetime) -> bool:
    return seen.last_heartbeat is None or now - seen.last_heartbeat > SILENT_AFTER


def expected_services(sites: Iterable[Site], seen: Iterable[ServiceSeen] = ()) -> set[tuple[str, str]]:
    """Place and service of everything that should report: the central services, what each place enrolled, and an
    escrow that was ever heard; not everybody has one.
    """
    placed = {(site.name, service) for site in sites for service in site.services}
    escrow = {(HUB, ESCROW)} & {(service.place, service.service) for service in seen}
    return {(HUB, "issuer"), (HUB, "monitor"), *placed, *escrow}


def recipient_names(placements: Iterable[Placement]) -> set[str]:
    """To whom the platform's key of each revision is sealed: the services that deliver it."""
    return {placement.recipient for placement in placements if placement.variant == PLATFORM}


def recipients(placements: Iterable[Placement], sites: Iterable[Site]) -> tuple[Recipient, ...]:
    """The recipients of the platform's key, with their public keys."""
    wanted = recipient_names(placements)
    return tuple(recipient for site in sites for recipient in site.recipients if recipient.name in wanted)
