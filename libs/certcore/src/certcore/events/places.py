"""What the services of a place report of themselves and of what they find there."""

from typing import ClassVar, Final

from pydantic import AwareDatetime

from certcore.events.event import Event
from certcore.reading import Items, ReadModel

__all__ = ["CONTRACT", "WAITS_SINCE", "DiscoveredSecret", "SiteHeartbeat", "SiteReviewed"]

CONTRACT = 5
"""The level of the event contracts that this version reads: since 3 `certbus.revision.renewal_window.v1`, since 4
`certbus.challenge.wanted.v1` and `certbus.challenge.shown.v1`, since 5 `certbus.revision.waits.v1`.
"""
WAITS_SINCE: Final = 5


class SiteHeartbeat(Event):
    """Of one service at one place; `site` is the place, which is `hub` for services that belong to no site.

    `kinds` are the kinds of targets that it delivers to; None where it is older than this field. `started` is when
    the process started, `not_ready` what its /readyz answered: None where it was ready, or is older than this field.
    `not_ready_s` is how long ago the first heartbeat that said so was stored: who was away meanwhile didn't hear it.

    `stood_still_s` is the longest pause that the process noticed in its own clock since the heartbeat before. It is
    told again for two minutes, as long as there is no other: the same number is the same pause.
    """

    type: ClassVar = "certbus.site.heartbeat.v1"

    site: str
    service: str
    version: str
    clusters: tuple[str, ...] = ()
    kinds: tuple[str, ...] | None = None
    contract: int = 1
    started: AwareDatetime | None = None
    not_ready: str | None = None
    not_ready_s: float = 0.0
    stood_still_s: float = 0.0


class DiscoveredSecret(ReadModel):
    """A TLS Secret of a cluster, by its metadata and public certificate; the key is never read from the reply."""

    cluster: str
    namespace: str
    secret: str
    manager: str
    dns_names: tuple[str, ...] = ()
    not_after: AwareDatetime | None = None
    fingerprint_sha256: str | None = None
    problem: str | None = None
    certificate_id: str | None = None


class SiteReviewed(Event):
    """`unreachable` names the clusters that could not be listed; their Secrets are left out, not gone."""

    type: ClassVar = "certbus.site.reviewed.v1"

    site: str
    secrets: Items[DiscoveredSecret]
    unreachable: tuple[str, ...] = ()
