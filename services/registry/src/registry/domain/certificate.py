"""The certificate as the registry stores it: the intent, who asked for it, and what holds of it now."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self

from certcore.api import CertificateState
from certcore.conditions import Condition, Health
from certcore.intent import Intent
from registry.domain.overview import NOTHING_YET, Overview
from registry.domain.terms import Terms

__all__ = ["ENDED_STATES", "Approval", "Certificate", "Request"]

ENDED_STATES: Final = frozenset({CertificateState.DENIED, CertificateState.REVOKED, CertificateState.RETIRED})
"""Of certificates that are not managed, or not any more."""


@dataclass(frozen=True)
class Certificate:
    """`ordered` is the revision that was last ordered from the issuer, 0 before the first.

    `generation` is the number that was last given to one of its placements, or to what its endpoints should serve.
    The next one is above `generation_floor` too: the first of the epoch that began with the last restore.
    `traceparent` names the trace of the latest rollout. `version` counts its saves: a save fails if the row
    was saved since it was read. `due_at` is when renewals must look at it again. `served_until`, `ca` and `overview`
    are of what is served and wanted now, for the lists. `unreadable` is why the stored intent can't be read; then
    nothing is ordered.
    """

    id: str
    name: str
    owner: str
    requester: str
    intent: Intent
    spec_hash: str
    state: CertificateState
    reason: str
    state_since: datetime
    created_at: datetime
    ordered: int = 0
    generation: int = 0
    generation_floor: int = 0
    approval_id: str | None = None
    next_try: datetime | None = None
    traceparent: str | None = None
    health: Health = Health.PROGRESSING
    health_reason: str = ""
    conditions: tuple[Condition, ...] = ()
    due_at: datetime | None = None
    served_until: datetime | None = None
    ca: str = ""
    overview: Overview = NOTHING_YET
    version: int = 0
    unreadable: str | None = None

    def moved(self, state: CertificateState, reason: str, now: datetime, next_try: datetime | None = None) -> Self:
        since = now if state is not self.state else self.state_since
        return replace(self, state=state, reason=reason, state_since=since, next_try=next_try)

    @property
    def next_generation(self) -> int:
        """Higher than any that was given before, also in an earlier epoch."""
        return max(self.generation, self.generation_floor) + 1

    @property
    def active(self) -> bool:
        """Whether it is managed: it was not denied, revoked or retired."""
        return self.state not in ENDED_STATES


@dataclass(frozen=True)
class Request:
    """`version` as that of a certificate. `terms` is what policy asks for, None where it was made before there were
    policies; `expires_at` is when it ends if it waits until then.
    """

    id: str
    certificate_id: str
    name: str
    requester: str
    owner: str
    intent: Intent
    spec_hash: str
    state: str
    reason: str
    created_at: datetime
    traceparent: str | None
    decided_by: str | None = None
    decided_at: datetime | None = None
    kind: str = "new"
    version: int = 0
    by_workload: bool = False
    terms: Terms | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Approval:
    """A standing permission: it covers every renewal of the intent with this hash, until it ends. `policy` names the
    rules by which it was given, of the policy with this digest. `cas` are the CAs that its orders name, the preferred
    one first: those that policy allowed when the last one was made; None where the issuer chooses.
    """

    id: str
    certificate_id: str
    request_id: str
    spec_hash: str
    approved_by: tuple[str, ...]
    policy: str
    granted_at: datetime
    policy_digest: str = ""
    ends_at: datetime | None = None
    renewals_apart: timedelta | None = None
    cas: tuple[str, ...] | None = None
