"""The reading side of every event before placements, generations and variants: frozen, so that a test can show
that consumers of that form read or park what is written now.

Nothing here is imported from our packages and nothing here follows their changes. Left out are descriptions and the
list of public suffixes; whatever else made a body valid or invalid is kept.
"""

from enum import StrEnum
from typing import ClassVar, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from tests.contracts.before.intent import CertificateSpec, EndpointSpec, Exposure, KeyAlgorithm, TargetSpec

__all__ = ["EVENTS", "PARKED", "Event", "read"]

PARKED: Final = "parked"


class Rejection(BaseModel):
    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    type: ClassVar[str]


class RequestSubmitted(CertificateSpec, Event):
    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ClassVar = "certbus.request.submitted.v1"


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
    model_config = ConfigDict(frozen=True)

    name: str
    public_key: str


class IssueOrder(BaseModel):
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
    type: ClassVar = "certbus.certificate.delivered.v1"

    revision: int
    target: str
    site: str


class CertificateLive(_OfCertificate):
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
    type: ClassVar = "certbus.endpoints.expected.v1"

    endpoints: tuple[EndpointSpec, ...]
    wanted_revision: int
    accepted: tuple[AcceptedFingerprint, ...]
    traceparent: str | None = None


class DeploymentOrdered(Event):
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


class RevisionStarted(Event):
    type: ClassVar = "certbus.revision.started.v1"

    certificate_id: str
    revision: int
    ca: str


class RevisionIssued(Event):
    type: ClassVar = "certbus.revision.issued.v1"

    certificate_id: str
    revision: int
    fingerprint_sha256: str
    ca: str
    validation_method: str
    ari_id: str | None


class RevisionFailed(Event):
    type: ClassVar = "certbus.revision.failed.v1"

    certificate_id: str
    revision: int
    reason: str
    next_try: AwareDatetime | None


class DeliveryReason(StrEnum):
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    CONFLICT = "conflict"
    UNKNOWN_PLACE = "unknown_place"
    BUNDLE_UNAVAILABLE = "bundle_unavailable"
    BUNDLE_INVALID = "bundle_invalid"
    NOT_SERVED = "not_served"
    RELOAD_FAILED = "reload_failed"


class DeliverySucceeded(Event):
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
    type: ClassVar = "certbus.site.reviewed.v1"

    site: str
    secrets: tuple[DiscoveredSecret, ...]
    unreachable: tuple[str, ...] = ()


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


def _all() -> dict[str, type[Event]]:
    found: dict[str, type[Event]] = {}
    queue: list[type[Event]] = [Event]
    while queue:
        for kind in queue.pop().__subclasses__():
            queue.append(kind)
            if "type" in vars(kind):
                found[kind.type] = kind
    return found


EVENTS: Final = _all()


def read(event_type: str, body: bytes) -> Event | Literal["parked"]:
    """The event, or `parked` for a type that was unknown then.

    Raises:
        ValidationError: those consumers could not read it.
    """
    kind = EVENTS.get(event_type)
    return PARKED if kind is None else kind.model_validate_json(body)
