"""CERTS: registry → everyone."""

from typing import ClassVar

from pydantic import AwareDatetime

from certcore.certificate import Exposure
from certcore.conditions import Condition, Health
from certcore.events.event import OfCertificate
from certcore.events.issuing import FailureCode, IssueOrder, MustAct, WaitCode
from certcore.intent import Intent
from certcore.placements import PLATFORM
from certcore.reading import Items, Open, ReadModel

__all__ = [
    "AcceptedFingerprint",
    "CertificateApproved",
    "CertificateApprovedForCsr",
    "CertificateDelivered",
    "CertificateDenied",
    "CertificateFailing",
    "CertificateHealthChanged",
    "CertificateIssued",
    "CertificateIssuingWaits",
    "CertificateLive",
    "CertificateRenewalDue",
    "CertificateRenewalDueForCsr",
    "CertificateRequested",
    "CertificateWaiting",
    "CsrAccepted",
    "EndpointExpected",
    "EndpointsExpected",
]


class CertificateRequested(OfCertificate):
    """`intent` is the whole of it, from which a registry that was restored can be filled again."""

    type: ClassVar = "certbus.certificate.requested.v1"

    request_id: str
    requester: str
    dns_names: tuple[str, ...]
    exposure: Open[Exposure]
    intent: Intent | None = None


class CertificateWaiting(OfCertificate):
    type: ClassVar = "certbus.certificate.waiting_for_approval.v1"

    request_id: str
    reason: str


class CertificateDenied(OfCertificate):
    type: ClassVar = "certbus.certificate.denied.v1"

    request_id: str
    denied_by: str
    reason: str


class CertificateApproved(OfCertificate):
    type: ClassVar = "certbus.certificate.approved.v1"

    approved_by: tuple[str, ...]
    policy: str
    order: IssueOrder


class CertificateApprovedForCsr(OfCertificate):
    """No target takes a key that the platform makes: each of these is asked for a signing request first."""

    type: ClassVar = "certbus.certificate.approved_for_csr.v1"

    approved_by: tuple[str, ...]
    policy: str
    targets: tuple[str, ...]


class CertificateRenewalDue(OfCertificate):
    type: ClassVar = "certbus.certificate.renewal_due.v1"

    reason: str
    order: IssueOrder


class CertificateRenewalDueForCsr(OfCertificate):
    """As CertificateApprovedForCsr."""

    type: ClassVar = "certbus.certificate.renewal_due_for_csr.v1"

    reason: str
    revision: int
    targets: tuple[str, ...]


class CsrAccepted(OfCertificate):
    """A target's signing request was checked; `order` carries it to the issuer."""

    type: ClassVar = "certbus.certificate.csr_accepted.v1"

    target: str
    order: IssueOrder


class CertificateIssued(OfCertificate):
    type: ClassVar = "certbus.certificate.issued.v1"

    revision: int
    serial: str
    fingerprint_sha256: str
    not_after: AwareDatetime
    variant: str = PLATFORM


class CertificateDelivered(OfCertificate):
    """One target has the revision; whether it serves it is for an endpoint to show. `site` is the target's place."""

    type: ClassVar = "certbus.certificate.delivered.v1"

    revision: int
    target: str
    site: str
    variant: str = PLATFORM


class CertificateLive(OfCertificate):
    """Every endpoint was seen serving the revision. `fingerprint_sha256` is that of one of its variants."""

    type: ClassVar = "certbus.certificate.live.v1"

    revision: int
    fingerprint_sha256: str


class CertificateFailing(OfCertificate):
    type: ClassVar = "certbus.certificate.failing.v1"

    revision: int
    reason: str
    next_try: AwareDatetime | None
    variant: str = PLATFORM
    code: Open[FailureCode] = FailureCode.UNFORESEEN
    must_act: Open[MustAct] = MustAct.NOBODY


class CertificateIssuingWaits(OfCertificate):
    """A revision isn't issued yet, and nothing has failed: see `RevisionWaits`."""

    type: ClassVar = "certbus.certificate.issuing_waits.v1"

    revision: int
    reason: str
    since: AwareDatetime
    until: AwareDatetime | None
    variant: str = PLATFORM
    code: Open[WaitCode]
    must_act: Open[MustAct] = MustAct.NOBODY


class CertificateHealthChanged(OfCertificate):
    type: ClassVar = "certbus.certificate.health_changed.v1"

    health: Open[Health]
    conditions: Items[Condition]


class AcceptedFingerprint(ReadModel):
    revision: int
    fingerprint_sha256: str
    variant: str = PLATFORM


class EndpointExpected(ReadModel):
    """`wanted` are the leaves that prove the endpoint: one of each variant that may be served there.

    `accepted` are no fault either: until the wanted one was seen, the ones since the last that was proven.
    """

    url: str
    target: str | None = None
    wanted: Items[AcceptedFingerprint]
    accepted: Items[AcceptedFingerprint] = ()


class EndpointsExpected(OfCertificate):
    """What each endpoint should serve. Of two, the one with the higher `generation` counts.

    `traceparent` names the rollout's trace also for a reader that got this from the API after a restart.
    """

    type: ClassVar = "certbus.endpoints.expected.v2"

    generation: int
    endpoints: Items[EndpointExpected]
    traceparent: str | None = None
