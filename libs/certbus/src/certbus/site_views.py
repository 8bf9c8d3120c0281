"""Sites, services and what was found at a site, as people read it."""

from collections.abc import Iterable
from datetime import datetime

from certbus.certificate_views import expiry
from certbus.output import Cell, Table
from certbus.time_spans import from_now
from certcore.api import ServiceView, SiteView
from certcore.review import SiteReview

__all__ = ["review_table", "review_warnings", "service_table", "site_table"]


def site_table(sites: Iterable[SiteView], now: datetime) -> Table:
    """SILENT names the services that should have reported by now; OLDEST HEARTBEAT is the one that waits longest."""
    return Table(
        ("SITE", "SERVICES", "TARGETS", "SILENT", "OLDEST HEARTBEAT"),
        tuple(
            (
                Cell(site.name),
                Cell(", ".join(site.services) or "-"),
                Cell(f"{site.targets_done}/{site.targets}"),
                Cell(", ".join(site.silent), "red") if site.silent else Cell("-"),
                _heartbeat(site.last_heartbeat, now),
            )
            for site in sites
        ),
        empty="no sites",
    )


def service_table(services: Iterable[ServiceView], now: datetime) -> Table:
    return Table(
        ("PLACE", "SERVICE", "VERSION", "LAST HEARTBEAT", "STATE", "KINDS"),
        tuple(
            (
                Cell(service.place),
                Cell(service.service),
                Cell(service.version or "-"),
                _heartbeat(service.last_heartbeat, now),
                Cell("silent", "red") if service.silent else Cell("ok", "green"),
                Cell(", ".join(service.kinds) or "-"),
            )
            for service in services
        ),
        empty="no services",
    )


def _heartbeat(then: datetime | None, now: datetime) -> Cell:
    return Cell(from_now(then, now) if then else "never")


def review_table(review: SiteReview, now: datetime) -> Table:
    """Soonest expiry first, so that what nobody renews stands on top."""
    ordered = sorted(review.secrets, key=lambda one: (one.not_after is None, one.not_after or now, one.namespace))
    return Table(
        ("CLUSTER", "NAMESPACE", "SECRET", "MANAGED BY", "EXPIRES", "DNS NAMES", "PROBLEM"),
        tuple(
            (
                Cell(secret.cluster),
                Cell(secret.namespace),
                Cell(secret.secret),
                Cell(f"certbus: {secret.managed}", "green") if secret.managed else Cell(secret.manager or "nobody"),
                expiry(secret.not_after, now),
                Cell(", ".join(secret.dns_names)),
                Cell(secret.problem or "", "red"),
            )
            for secret in ordered
        ),
        empty=f"{review.site} has no TLS Secrets",
    )


def review_warnings(review: SiteReview, now: datetime) -> list[str]:
    """What the table can't show: how old it is, and which clusters are missing from it."""
    if review.reported_at is None:
        return [f"{review.site} has not reported yet: its syncer lists the clusters' Secrets every few minutes"]
    age = f"{review.site} reported this {from_now(review.reported_at, now)}"
    return [
        age,
        *(
            f"warning: cluster {one} could not be listed: its Secrets here are old or missing"
            for one in review.unreachable
        ),
    ]
