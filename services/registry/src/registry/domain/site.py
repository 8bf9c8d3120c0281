"""A site, and who there receives sealed keys."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from certcore.events import DiscoveredSecret, Recipient
from certcore.targets import SERVICE_OF_KIND
from registry.domain.certificate import Certificate

__all__ = ["Site", "recipient_name", "recipient_names", "recipients"]


@dataclass(frozen=True)
class Site:
    """`services` are those that it enrolled; `secrets` and `unreachable` are what its syncer reported last."""

    name: str
    recipients: tuple[Recipient, ...]
    services: tuple[str, ...]
    last_heartbeat: datetime | None = None
    reviewed_at: datetime | None = None
    secrets: tuple[DiscoveredSecret, ...] = ()
    unreachable: tuple[str, ...] = ()


def recipient_name(site: str, service: str) -> str:
    return f"{site}-{service}"


def recipient_names(certificate: Certificate) -> set[str]:
    """To whom each revision of the certificate is sealed: the services that deliver to its targets."""
    return {recipient_name(target.site, SERVICE_OF_KIND[target.kind]) for target in certificate.spec.targets}


def recipients(certificate: Certificate, sites: Iterable[Site]) -> tuple[Recipient, ...]:
    """The recipients of the certificate's revisions, with their public keys."""
    wanted = recipient_names(certificate)
    return tuple(recipient for site in sites for recipient in site.recipients if recipient.name in wanted)
