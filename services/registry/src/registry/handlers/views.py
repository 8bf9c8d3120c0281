"""What the registry shows: rows turned into the answers of certcore.api."""

from collections.abc import Sequence
from datetime import datetime

from certcore.api import (
    CertificateState,
    CertificateSummary,
    CertificateView,
    EndpointState,
    EndpointView,
    RequestState,
    RequestView,
    ReviewedSecret,
    RevisionView,
    SiteReview,
    SiteView,
    TargetState,
    TargetView,
)
from certcore.certificate import Exposure
from registry.adapters.store import Transaction
from registry.domain import renewal
from registry.domain.certificate import Certificate, Delivery, Endpoint, Request, Revision
from registry.domain.rollout import endpoint_state, progress, target_state
from registry.domain.site import Site

__all__ = ["certificate_summary", "certificate_view", "request_view", "site_review", "site_view"]


async def certificate_view(transaction: Transaction, certificate: Certificate) -> CertificateView:
    revisions = await transaction.revisions.of(certificate.id)
    newest = _newest(certificate, revisions)
    approval = await transaction.approvals.get(certificate.approval_id)
    deliveries = await transaction.deliveries.of(certificate.id)
    endpoints = await transaction.endpoints.of(certificate.id)
    renewable = certificate.state not in {CertificateState.DENIED, CertificateState.REVOKED, CertificateState.RETIRED}
    return CertificateView(
        id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        exposure=Exposure(certificate.spec.exposure),
        state=certificate.state,
        reason=certificate.reason,
        state_since=certificate.state_since,
        dns_names=certificate.spec.dns_names,
        key_algorithm=certificate.spec.key_algorithm,
        issuer=certificate.spec.issuer,
        requester=certificate.requester,
        approved_by=approval.approved_by if approval else (),
        approval_policy=approval.policy if approval else None,
        end_date=certificate.spec.end_date,
        renew_at=renewal.renew_at(newest.not_before, newest.not_after) if newest and renewable else None,
        next_try=certificate.next_try,
        trace_id=certificate.traceparent.split("-")[1] if certificate.traceparent else None,
        revision=_revision_view(newest) if newest else None,
        wanted_revision=certificate.wanted or None,
        targets=tuple(_target_view(delivery, endpoints, certificate.wanted) for delivery in deliveries),
        endpoints=tuple(_endpoint_view(endpoint, certificate.wanted) for endpoint in endpoints),
    )


def _newest(certificate: Certificate, revisions: Sequence[Revision]) -> Revision | None:
    return next((revision for revision in revisions if revision.number == certificate.wanted), None)


def _revision_view(revision: Revision) -> RevisionView:
    return RevisionView(
        number=revision.number,
        serial=revision.serial,
        fingerprint_sha256=revision.fingerprint_sha256,
        not_before=revision.not_before,
        not_after=revision.not_after,
        ca=revision.ca,
        validation_method=revision.validation_method,
    )


def _target_view(delivery: Delivery, endpoints: Sequence[Endpoint], wanted: int) -> TargetView:
    state = target_state(delivery, endpoints, wanted)
    reasons = {
        TargetState.PENDING: "waiting for the first delivery" if wanted else "nothing is issued yet",
        TargetState.FAILED: delivery.failure,
        TargetState.DELIVERED: "delivered, not yet seen served",
        TargetState.VERIFIED: "",
    }
    return TargetView(
        name=delivery.target,
        site=delivery.site,
        kind=delivery.kind,
        state=state,
        revision=delivery.revision,
        wanted_revision=wanted or None,
        reason=reasons[state],
        next_try=delivery.next_try if state is TargetState.FAILED else None,
    )


def _endpoint_view(endpoint: Endpoint, wanted: int) -> EndpointView:
    state = endpoint_state(endpoint, wanted)
    reason = "" if state is EndpointState.SERVED else endpoint.detail or (endpoint.verdict or "not looked at yet")
    return EndpointView(
        url=endpoint.url,
        target=endpoint.target,
        state=state,
        served_fingerprint_sha256=endpoint.served_fingerprint_sha256,
        served_revision=endpoint.served_revision,
        reason=reason,
        addresses=endpoint.addresses,
        observed_at=endpoint.observed_at,
    )


async def certificate_summary(transaction: Transaction, certificate: Certificate) -> CertificateSummary:
    newest = _newest(certificate, await transaction.revisions.of(certificate.id))
    deliveries = await transaction.deliveries.of(certificate.id)
    found = progress(deliveries, await transaction.endpoints.of(certificate.id), certificate.wanted)
    return CertificateSummary(
        id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        exposure=Exposure(certificate.spec.exposure),
        state=certificate.state,
        reason=certificate.reason,
        dns_names=certificate.spec.dns_names,
        revision=newest.number if newest else None,
        not_after=newest.not_after if newest else None,
        targets_done=found.targets_done,
        targets_total=found.targets_total,
        endpoints_done=found.endpoints_done,
        endpoints_total=found.endpoints_total,
    )


def request_view(request: Request, certificate: Certificate) -> RequestView:
    return RequestView(
        id=request.id,
        kind="new",
        certificate_id=request.certificate_id,
        name=request.spec.name,
        owner=request.owner,
        requester=request.requester,
        state=RequestState(request.state),
        reason=request.reason,
        certificate_state=certificate.state,
        spec=request.spec,
        created_at=request.created_at,
        decided_by=request.decided_by,
        decided_at=request.decided_at,
    )


async def site_view(transaction: Transaction, site: Site) -> SiteView:
    done = total = 0
    for delivery in await transaction.deliveries.at(site.name):
        certificate = await transaction.certificates.get(delivery.certificate_id)
        total += 1
        done += certificate is not None and 0 < certificate.wanted == delivery.revision
    return SiteView(
        name=site.name, services=site.services, last_heartbeat=site.last_heartbeat, targets=total, targets_done=done
    )


async def site_review(transaction: Transaction, site: Site, now: datetime) -> SiteReview:
    """The Secrets of a site, soonest expiry first, each with the certificate that it carries where it is ours."""
    names = {certificate.id: certificate.name for certificate in await transaction.certificates.all()}
    secrets = [
        ReviewedSecret(
            **secret.model_dump(),
            managed=names.get(secret.certificate_id or ""),
            in_days=(secret.not_after - now).days if secret.not_after else None,
        )
        for secret in site.secrets
    ]
    secrets.sort(key=lambda secret: (secret.in_days is None, secret.in_days, secret.namespace, secret.secret))
    return SiteReview(
        site=site.name, reported_at=site.reviewed_at, unreachable=site.unreachable, secrets=tuple(secrets)
    )
