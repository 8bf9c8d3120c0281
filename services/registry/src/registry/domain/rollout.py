"""How far a revision has come: each target, each endpoint, and whether the certificate is proven."""

from collections.abc import Sequence
from dataclasses import dataclass

from certcore.api import EndpointState, TargetState
from certcore.events import AcceptedFingerprint, EndpointsExpected, ServingVerdict
from registry.domain.certificate import Certificate, Delivery, Endpoint, Revision

__all__ = [
    "Progress",
    "Rollout",
    "accepted",
    "endpoint_state",
    "expectation",
    "is_served",
    "progress",
    "target_state",
]


@dataclass(frozen=True)
class Rollout:
    """A certificate with what is stored of its revisions (newest first), deliveries and endpoints."""

    certificate: Certificate
    revisions: tuple[Revision, ...]
    deliveries: tuple[Delivery, ...]
    endpoints: tuple[Endpoint, ...]

    def revision(self, number: int) -> Revision | None:
        return next((revision for revision in self.revisions if revision.number == number), None)


def is_served(endpoint: Endpoint, wanted: int) -> bool:
    """Whether a handshake showed the wanted revision at every address of the endpoint."""
    return wanted > 0 and endpoint.verdict is ServingVerdict.WANTED and endpoint.served_revision == wanted


def endpoint_state(endpoint: Endpoint, wanted: int) -> EndpointState:
    if is_served(endpoint, wanted):
        return EndpointState.SERVED
    match endpoint.verdict:
        case None:
            return EndpointState.UNSEEN
        case ServingVerdict.UNREACHABLE | ServingVerdict.TLS_FAILED:
            return EndpointState.UNREACHABLE
        case ServingVerdict.PREVIOUS | ServingVerdict.WANTED:
            # WANTED with another revision is a look from before the wanted one changed.
            return EndpointState.PREVIOUS
        case _:
            return EndpointState.MISMATCH


def target_state(delivery: Delivery, endpoints: Sequence[Endpoint], wanted: int) -> TargetState:
    """A target is verified by the endpoints that name it, or where none does by those that name no target."""
    if delivery.failed_revision == wanted > 0:
        return TargetState.FAILED
    if wanted == 0 or delivery.revision != wanted:
        return TargetState.PENDING
    own = [endpoint for endpoint in endpoints if endpoint.target == delivery.target]
    proofs = own or [endpoint for endpoint in endpoints if endpoint.target is None]
    if proofs and all(is_served(endpoint, wanted) for endpoint in proofs):
        return TargetState.VERIFIED
    return TargetState.DELIVERED


@dataclass(frozen=True)
class Progress:
    """`missing` names what is not there yet, in the words that a person reads as the reason for waiting."""

    targets_done: int
    targets_total: int
    endpoints_done: int
    endpoints_total: int
    missing: tuple[str, ...]

    @property
    def proven(self) -> bool:
        return not self.missing

    @property
    def reason(self) -> str:
        if self.proven:
            return f"every endpoint was seen serving it ({self.endpoints_done} of {self.endpoints_total})"
        counts = (
            f"{self.targets_done} of {self.targets_total} targets hold it,"
            f" {self.endpoints_done} of {self.endpoints_total} endpoints serve it"
        )
        more = f" and {len(self.missing) - 3} more" if len(self.missing) > 3 else ""
        return f"{counts}; waiting for {', '.join(self.missing[:3])}{more}"


def progress(deliveries: Sequence[Delivery], endpoints: Sequence[Endpoint], wanted: int) -> Progress:
    """What is done and what is missing of the wanted revision: proven only when every endpoint serves it."""
    held = [delivery for delivery in deliveries if wanted > 0 and delivery.revision == wanted]
    served = [endpoint for endpoint in endpoints if is_served(endpoint, wanted)]
    missing = [
        f"target {delivery.target} ({delivery.failure or 'not delivered yet'})"
        for delivery in deliveries
        if delivery not in held
    ]
    missing += [
        f"endpoint {endpoint.url} ({endpoint.verdict or 'not looked at yet'})"
        for endpoint in endpoints
        if endpoint not in served
    ]
    return Progress(len(held), len(deliveries), len(served), len(endpoints), tuple(missing))


def accepted(certificate: Certificate, revisions: Sequence[Revision]) -> tuple[AcceptedFingerprint, ...]:
    """The wanted revision, and every one since the last proven: until the new one is seen, the old is no fault."""
    return tuple(
        AcceptedFingerprint(revision=revision.number, fingerprint_sha256=revision.fingerprint_sha256)
        for revision in sorted(revisions, key=lambda revision: -revision.number)
        if max(certificate.proven, 1) <= revision.number <= certificate.wanted
    )


def expectation(certificate: Certificate, revisions: Sequence[Revision]) -> EndpointsExpected:
    """What the monitor should see at the certificate's endpoints."""
    return EndpointsExpected(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        endpoints=certificate.spec.endpoints,
        wanted_revision=certificate.wanted,
        accepted=accepted(certificate, revisions),
        traceparent=certificate.traceparent,
    )
