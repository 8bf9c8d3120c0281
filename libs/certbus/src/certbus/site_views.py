"""Sites and what was found there, as people read it."""

from collections.abc import Iterable
from datetime import datetime

from certbus.certificate_views import expiry
from certbus.output import Cell, Table
from certbus.time_spans import from_now
from certcore.api import SiteReview, SiteView

__all__ = ["review_table", "review_warnings", "site_table"]


def site_table(sites: Iterable[SiteView], now: datetime) -> Table:
    return Table(
        ("SITE", "SERVICES", "TARGETS", "LAST SEEN"),
        tuple(
            (
                Cell(site.name),
                Cell(", ".join(site.services) or "-"),
                Cell(f"{site.targets_done}/{site.targets}"),
                Cell(from_now(site.last_heartbeat, now) if site.last_heartbeat else "never"),
            )
            for site in sites
        ),
        empty="no sites",
    )


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
        *(f"warning: cluster {one} could not be listed: its Secrets are missing here" for one in review.unreachable),
    ]
