"""Events of earlier contracts, as they are still read; nothing writes them. Each becomes its successor.

Before there were generations, a placement had one revision after the other: its generation is that revision's number,
which is also what the registry gave to placements that it had stored before.
"""

from typing import ClassVar

from pydantic import AwareDatetime, ConfigDict

from certcore.certificate import CertificateSpec
from certcore.events.alerts import AlertRaised, AlertResolved, Severity
from certcore.events.certificates import AcceptedFingerprint, EndpointExpected, EndpointsExpected
from certcore.events.deliveries import DeliveryFailed, DeliveryReason, DeliverySucceeded
from certcore.events.deployments import DeploymentOrdered
from certcore.events.event import Event, OfCertificate
from certcore.intent import Endpoint, Target
from certcore.placements import PlacementOrder
from certcore.reading import Items, Open

__all__ = [
    "AlertRaisedV1",
    "AlertResolvedV1",
    "DeliveryFailedV1",
    "DeliverySucceededV1",
    "DeploymentOrderedV1",
    "EndpointsExpectedV1",
    "RequestSubmittedV1",
]


class RequestSubmittedV1(CertificateSpec, Event):
    """It has no `kind`: what it asks for is new."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ClassVar = "certbus.request.submitted.v1"


class DeploymentOrderedV1(Event):
    type: ClassVar = "certbus.deployment.ordered.v1"

    certificate_id: str
    name: str
    revision: int
    serial: str
    fingerprint_sha256: str
    not_after: AwareDatetime
    dns_names: tuple[str, ...]
    bundle_sha256: str
    targets: Items[Target]
    traceparent: str | None = None

    def upgraded(self) -> DeploymentOrdered:
        placements = tuple(
            PlacementOrder(
                target=target,
                generation=self.revision,
                revision=self.revision,
                fingerprint_sha256=self.fingerprint_sha256,
                serial=self.serial,
                not_after=self.not_after,
                bundle_sha256=self.bundle_sha256,
            )
            for target in self.targets
        )
        order = DeploymentOrdered(
            certificate_id=self.certificate_id,
            name=self.name,
            placements=placements,
            traceparent=self.traceparent,
        )
        aside = tuple(item.model_copy(update={"generation": self.revision}) for item in self.unreadable)
        return order.model_copy(update={"unreadable": aside})


class DeliverySucceededV1(Event):
    type: ClassVar = "certbus.delivery.succeeded.v1"

    certificate_id: str
    revision: int
    target: str
    fingerprint_sha256: str
    repaired: bool = False

    def upgraded(self) -> DeliverySucceeded:
        return DeliverySucceeded(generation=self.revision, **self.model_dump())


class DeliveryFailedV1(Event):
    type: ClassVar = "certbus.delivery.failed.v1"

    certificate_id: str
    revision: int
    target: str
    reason: Open[DeliveryReason]
    detail: str
    next_try: AwareDatetime | None

    def upgraded(self) -> DeliveryFailed:
        return DeliveryFailed(generation=self.revision, **self.model_dump())


class EndpointsExpectedV1(OfCertificate):
    type: ClassVar = "certbus.endpoints.expected.v1"

    endpoints: Items[Endpoint]
    wanted_revision: int
    accepted: Items[AcceptedFingerprint]
    traceparent: str | None = None

    def upgraded(self) -> EndpointsExpected:
        wanted = tuple(item for item in self.accepted if item.revision == self.wanted_revision)
        accepted = tuple(item for item in self.accepted if item.revision != self.wanted_revision)
        return EndpointsExpected(
            certificate_id=self.certificate_id,
            name=self.name,
            owner=self.owner,
            generation=self.wanted_revision,
            endpoints=tuple(
                EndpointExpected(url=endpoint.url, target=endpoint.target, wanted=wanted, accepted=accepted)
                for endpoint in self.endpoints
            ),
            traceparent=self.traceparent,
        )


class _AlertV1(Event):
    alert_id: str
    severity: Open[Severity]
    owner: str
    reason: str
    certificate_id: str
    certificate_name: str
    url: str
    summary: str
    since: AwareDatetime


class AlertRaisedV1(_AlertV1):
    type: ClassVar = "certbus.alert.raised.v1"

    def upgraded(self) -> AlertRaised:
        return AlertRaised(subject=self.url, **self.model_dump())


class AlertResolvedV1(_AlertV1):
    type: ClassVar = "certbus.alert.resolved.v1"

    resolved_at: AwareDatetime

    def upgraded(self) -> AlertResolved:
        return AlertResolved(subject=self.url, **self.model_dump())
