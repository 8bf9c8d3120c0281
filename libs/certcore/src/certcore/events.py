"""Every event of the bus: frozen, versioned by its type, additive, never holding key material.

A new optional field keeps the version; anything else is a new type published beside the old one. The envelope
(id, source, time, trace) travels in headers, see `certcore.cloudevents`.
"""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from certcore.certificate import CertificateSpec, EndpointSpec, Exposure, KeyAlgorithm
from certcore.rejection import Rejection
from certcore.targets import TargetSpec


class Event(BaseModel):
    """Unknown fields are ignored, so that a consumer reads what a newer producer writes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: ClassVar[str]


# ── REQUESTS: anyone allowed to ask → registry ──────────────────────────────────────────────────────────────


class RequestSubmitted(CertificateSpec, Event):
    """The body is the API's: a CertificateSpec. Unknown fields are refused here, as a typing error would be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ClassVar = "certbus.request.submitted.v1"


# ── CERTS: registry → everyone ──────────────────────────────────────────────────────────────────────────────


class RequestAccepted(Event):
    type: ClassVar = "certbus.request.accepted.v1"

    request_event_id: str
    request_id: str
    certificate_id: str
    name: str
    state: str
    reason: str


class RequestRejected(Event):
    type: ClassVar = "certbus.request.rejected.v1"

    request_event_id: str
    errors: tuple[Rejection, ...]


class _OfCertificate(Event):
    certificate_id: str
    name: str
    owner: str


class CertificateRequested(_OfCertificate):
    type: ClassVar = "certbus.certificate.requested.v1"

    request_id: str
    requester: str
    dns_names: tuple[str, ...]
    exposure: Exposure


class CertificateWaiting(_OfCertificate):
    type: ClassVar = "certbus.certificate.waiting_for_approval.v1"

    request_id: str
    reason: str


class CertificateDenied(_OfCertificate):
    type: ClassVar = "certbus.certificate.denied.v1"

    request_id: str
    denied_by: str
    reason: str


class Recipient(BaseModel):
    """Somebody to whom the private key is sealed; `public_key` is its raw X25519 key in base64."""

    model_config = ConfigDict(frozen=True)

    name: str
    public_key: str


class IssueOrder(BaseModel):
    """What the issuer needs for one revision. (certificate_id, revision) is the identity of the job."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    certificate_id: str
    name: str
    revision: int
    dns_names: tuple[str, ...]
    exposure: Exposure
    issuer: str | None
    key_algorithm: KeyAlgorithm
    approval_id: str
    recipients: tuple[Recipient, ...]
    replaces: str | None = None


class CertificateApproved(_OfCertificate):
    type: ClassVar = "certbus.certificate.approved.v1"

    approved_by: tuple[str, ...]
    policy: str
    order: IssueOrder


class CertificateRenewalDue(_OfCertificate):
    type: ClassVar = "certbus.certificate.renewal_due.v1"

    reason: str
    order: IssueOrder


class CertificateIssued(_OfCertificate):
    type: ClassVar = "certbus.certificate.issued.v1"

    revision: int
    serial: str
    fingerprint_sha256: str
    not_after: AwareDatetime


class CertificateDelivered(_OfCertificate):
    """One target has the revision; whether it serves it is for an endpoint to show."""

    type: ClassVar = "certbus.certificate.delivered.v1"

    revision: int
    target: str
    site: str


class CertificateLive(_OfCertificate):
    """Every endpoint was seen serving the revision."""

    type: ClassVar = "certbus.certificate.live.v1"

    revision: int
    fingerprint_sha256: str


class CertificateFailing(_OfCertificate):
    type: ClassVar = "certbus.certificate.failing.v1"

    revision: int
    reason: str
    next_try: AwareDatetime | None


class AcceptedFingerprint(BaseModel):
    model_config = ConfigDict(frozen=True)

    revision: int
    fingerprint_sha256: str


class EndpointsExpected(_OfCertificate):
    """What each endpoint should serve: the wanted revision, and until that is seen also the one before.

    `traceparent` names the roll-out's trace also for a reader that got this from the API after a restart.
    """

    type: ClassVar = "certbus.endpoints.expected.v1"

    endpoints: tuple[EndpointSpec, ...]
    wanted_revision: int
    accepted: tuple[AcceptedFingerprint, ...]
    traceparent: str | None = None


# ── DEPLOY_<site>: registry → that site ─────────────────────────────────────────────────────────────────────


class DeploymentOrdered(Event):
    """One revision for all targets of one service of a site. Only the newest of a certificate counts."""

    type: ClassVar = "certbus.deployment.ordered.v1"

    certificate_id: str
    name: str
    revision: int
    serial: str
    fingerprint_sha256: str
    not_after: AwareDatetime
    dns_names: tuple[str, ...]
    bundle_sha256: str
    targets: tuple[TargetSpec, ...]
    traceparent: str | None = None


# ── STATUS: services → registry ─────────────────────────────────────────────────────────────────────────────


class RevisionStarted(Event):
    type: ClassVar = "certbus.revision.started.v1"

    certificate_id: str
    revision: int
    ca: str


class RevisionIssued(Event):
    """The sealed bundle lies in the registry already: this only refers to it."""

    type: ClassVar = "certbus.revision.issued.v1"

    certificate_id: str
    revision: int
    fingerprint_sha256: str
    ca: str
    validation_method: str
    ari_id: str | None


class RevisionFailed(Event):
    """`next_try` is None where the issuer gave up; a renewal asked for by hand starts it again."""

    type: ClassVar = "certbus.revision.failed.v1"

    certificate_id: str
    revision: int
    reason: str
    next_try: AwareDatetime | None


class DeliveryReason(StrEnum):
    """Why a delivery failed: metric label, and what the page shows."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    CONFLICT = "conflict"
    UNKNOWN_PLACE = "unknown_place"
    BUNDLE_UNAVAILABLE = "bundle_unavailable"
    BUNDLE_INVALID = "bundle_invalid"
    NOT_SERVED = "not_served"
    RELOAD_FAILED = "reload_failed"


class DeliverySucceeded(Event):
    """`repaired` tells that the target held the revision before and had lost or changed it."""

    type: ClassVar = "certbus.delivery.succeeded.v1"

    certificate_id: str
    revision: int
    target: str
    fingerprint_sha256: str
    repaired: bool = False


class DeliveryFailed(Event):
    type: ClassVar = "certbus.delivery.failed.v1"

    certificate_id: str
    revision: int
    target: str
    reason: DeliveryReason
    detail: str
    next_try: AwareDatetime | None


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


class AddressObserved(BaseModel):
    model_config = ConfigDict(frozen=True)

    address: str
    verdict: ServingVerdict
    fingerprint_sha256: str | None
    detail: str = ""


class EndpointObserved(Event):
    type: ClassVar = "certbus.endpoint.observed.v1"

    certificate_id: str
    url: str
    verdict: ServingVerdict
    served_revision: int | None
    served_fingerprint_sha256: str | None
    addresses: tuple[AddressObserved, ...]
    observed_at: AwareDatetime


class SiteHeartbeat(Event):
    type: ClassVar = "certbus.site.heartbeat.v1"

    site: str
    service: str
    version: str
    clusters: tuple[str, ...] = ()


class DiscoveredSecret(BaseModel):
    """A TLS Secret of a cluster, by its metadata and public certificate; the key is never read from the reply."""

    model_config = ConfigDict(frozen=True)

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
    secrets: tuple[DiscoveredSecret, ...]
    unreachable: tuple[str, ...] = ()


# ── ALERTS: monitor, registry → whoever subscribes ──────────────────────────────────────────────────────────


class _Alert(Event):
    alert_id: str
    severity: Literal["info", "warning", "critical"]
    owner: str
    reason: str
    certificate_id: str
    certificate_name: str
    url: str
    summary: str
    since: AwareDatetime


class AlertRaised(_Alert):
    type: ClassVar = "certbus.alert.raised.v1"


class AlertResolved(_Alert):
    type: ClassVar = "certbus.alert.resolved.v1"

    resolved_at: AwareDatetime


# ── DLQ: failure policy → people ────────────────────────────────────────────────────────────────────────────
# Dead letters keep the body and headers of the message that failed; only headers are added.


def catalogue() -> dict[str, type[Event]]:
    """Every event by its CloudEvents type."""
    found: dict[str, type[Event]] = {}
    queue = [Event]
    while queue:
        for kind in queue.pop().__subclasses__():
            queue.append(kind)
            if "type" in vars(kind):
                found[kind.type] = kind
    return found
