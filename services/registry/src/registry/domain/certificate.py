"""The certificate as the registry knows it: the intent, what was issued for it, and what was seen of it."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from certcore.api import CertificateState
from certcore.certificate import CertificateSpec
from certcore.events import ServingVerdict
from certcore.targets import SERVICE_OF_KIND, TargetSpec

__all__ = ["Approval", "Certificate", "Delivery", "Endpoint", "Request", "Revision"]


@dataclass(frozen=True)
class Certificate:
    """Three revision numbers, each 0 until there is one: `ordered` from the issuer, `wanted` at the targets, `proven`
    the last one that every endpoint was seen serving. `traceparent` names the trace of the latest roll-out.
    """

    id: str
    owner: str
    requester: str
    spec: CertificateSpec
    spec_hash: str
    state: CertificateState
    reason: str
    state_since: datetime
    created_at: datetime
    ordered: int = 0
    wanted: int = 0
    proven: int = 0
    approval_id: str | None = None
    next_try: datetime | None = None
    traceparent: str | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    def moved(self, state: CertificateState, reason: str, now: datetime, next_try: datetime | None = None) -> Self:
        since = now if state is not self.state else self.state_since
        return replace(self, state=state, reason=reason, state_since=since, next_try=next_try)


@dataclass(frozen=True)
class Request:
    id: str
    certificate_id: str
    requester: str
    owner: str
    spec: CertificateSpec
    spec_hash: str
    state: str
    reason: str
    created_at: datetime
    traceparent: str | None
    decided_by: str | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True)
class Approval:
    """A standing permission: it covers every renewal of the intent with this hash."""

    id: str
    certificate_id: str
    request_id: str
    spec_hash: str
    approved_by: tuple[str, ...]
    policy: str
    granted_at: datetime


@dataclass(frozen=True)
class Revision:
    """`announced` turns true when the issuer reports what it handed over before."""

    certificate_id: str
    number: int
    serial: str
    fingerprint_sha256: str
    spki_sha256: str
    not_before: datetime
    not_after: datetime
    chain_pem: str
    stored_at: datetime
    ca: str = ""
    validation_method: str = ""
    ari_id: str | None = None
    announced: bool = False
    variant: str = "platform"


@dataclass(frozen=True)
class Delivery:
    """What one target reported last. `revision` is the one that lies there."""

    certificate_id: str
    target: str
    site: str
    service: str
    kind: str
    revision: int | None = None
    failed_revision: int | None = None
    failure: str = ""
    next_try: datetime | None = None

    @classmethod
    def of(cls, certificate_id: str, target: TargetSpec) -> Self:
        return cls(certificate_id, target.name, target.site, SERVICE_OF_KIND[target.kind], target.kind)


@dataclass(frozen=True)
class Endpoint:
    """What the monitor saw last."""

    certificate_id: str
    url: str
    target: str | None
    verdict: ServingVerdict | None = None
    served_revision: int | None = None
    served_fingerprint_sha256: str | None = None
    detail: str = ""
    addresses: tuple[str, ...] = ()
    observed_at: datetime | None = None
