"""The API's models, made from what is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version

from certcore.alerts import AlertState, AlertView
from certcore.api import (
    CertificateSummary,
    CertificateView,
    EndpointState,
    EndpointView,
    RenewalWindowView,
    RequestState,
    RequestView,
    RevisionView,
    ServiceView,
    SiteView,
    TargetState,
    TargetView,
)
from certcore.events import DiscoveredSecret
from certcore.identities import HUB
from certcore.policy.quorum import Approver, missing
from certcore.policy.verdict import NeededView
from certcore.review import ReviewedSecret, SiteReview
from registry.domain import renewal
from registry.domain.alert import AlertRecord
from registry.domain.certificate import Approval, Certificate, Request
from registry.domain.endpoint import Endpoint, ProbeWorker, looked_at
from registry.domain.placement import Placement
from registry.domain.review import StoredReview
from registry.domain.revision import Revision, SuggestedWindow
from registry.domain.rollout import Rollout
from registry.domain.site import ServiceSeen, Site, expected_services, is_silent
from registry.domain.terms import BEFORE_POLICIES

__all__ = [
    "alert_view",
    "certificate_summary",
    "certificate_view",
    "request_view",
    "service_views",
    "site_review",
    "site_view",
]


def certificate_view(rollout: Rollout, approval: Approval | None, workers: Sequence[ProbeWorker]) -> CertificateView:
    certificate, shown = rollout.certificate, rollout.shown
    intent = certificate.intent
    next_due = renewal.first_due(rollout) if certificate.active else None
    plan = renewal.planned(next_due) if next_due else None
    return CertificateView(
        id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        exposure=intent.exposure,
        state=certificate.state,
        reason=certificate.reason,
        health=certificate.health,
        health_reason=certificate.health_reason,
        conditions=certificate.conditions,
        version=certificate.version,
        state_since=certificate.state_since,
        dns_names=intent.dns_names,
        key_algorithm=intent.key_algorithm,
        labels=intent.labels,
        contact=intent.contact,
        description=intent.description,
        issuer=intent.issuer,
        requester=certificate.requester,
        approved_by=approval.approved_by if approval else (),
        approval_policy=approval.policy if approval else None,
        approval_ends_at=approval.ends_at if approval else None,
        policy_digest=approval.policy_digest if approval else "",
        end_date=intent.end_date,
        renew_at=plan.at if plan else None,
        renewal_reason=plan.detail if plan else "",
        next_try=certificate.next_try,
        trace_id=certificate.traceparent.split("-")[1] if certificate.traceparent else None,
        revision=_revision_view(shown) if shown else None,
        variants=tuple(_revision_view(item) for item in rollout.variants),
        served_until=certificate.served_until,
        wanted_revision=rollout.wanted or None,
        targets=tuple(_target_view(rollout, item) for item in rollout.placements),
        endpoints=tuple(_endpoint_view(rollout, item, workers) for item in rollout.endpoints),
    )


def _revision_view(revision: Revision) -> RevisionView:
    return RevisionView(
        number=revision.number,
        serial=revision.serial,
        fingerprint_sha256=revision.fingerprint_sha256,
        not_before=revision.not_before,
        not_after=revision.not_after,
        ca=revision.ca,
        validation_method=revision.validation_method,
        variant=revision.variant,
        renewal_window=_window_view(revision.window) if revision.window else None,
    )


def _window_view(window: SuggestedWindow) -> RenewalWindowView:
    return RenewalWindowView(
        start=window.start, end=window.end, chosen=window.chosen, explanation_url=window.explanation_url
    )


def _target_view(rollout: Rollout, placement: Placement) -> TargetView:
    state = rollout.target_state(placement)
    reasons = {
        TargetState.PENDING: "waiting for the delivery" if placement.is_wanted else "nothing is issued yet",
        TargetState.IN_PROGRESS: placement.step,
        TargetState.FAILED: placement.failure,
        TargetState.DELIVERED: "delivered, not seen served",
        TargetState.VERIFIED: "",
        TargetState.WITHDRAWING: "ordered to hold nothing",
        TargetState.WITHDRAWN: "",
    }
    return TargetView(
        name=placement.target,
        site=placement.place,
        kind=placement.kind,
        state=state,
        revision=placement.held,
        wanted_revision=placement.wanted if placement.is_wanted else None,
        variant=placement.variant,
        generation=placement.generation,
        reason=reasons[state],
        next_try=placement.next_try if state in {TargetState.FAILED, TargetState.IN_PROGRESS} else None,
    )


def _endpoint_view(rollout: Rollout, endpoint: Endpoint, workers: Sequence[ProbeWorker]) -> EndpointView:
    state = rollout.endpoint_state(endpoint)
    reason = endpoint.detail or str(endpoint.verdict or "not looked at yet")
    return EndpointView(
        url=endpoint.url,
        target=endpoint.target,
        state=state,
        served_fingerprint_sha256=endpoint.served_fingerprint_sha256,
        served_revision=endpoint.served_revision,
        reason="" if state is EndpointState.SERVED else reason,
        addresses=endpoint.addresses,
        observed_at=endpoint.observed_at,
        looked_at=looked_at(endpoint, workers),
    )


def certificate_summary(certificate: Certificate) -> CertificateSummary:
    overview = certificate.overview
    return CertificateSummary(
        id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        exposure=certificate.intent.exposure,
        state=certificate.state,
        reason=certificate.reason,
        health=certificate.health,
        health_reason=certificate.health_reason,
        dns_names=certificate.intent.dns_names,
        revision=overview.revision,
        not_after=overview.not_after,
        targets_done=overview.targets_done,
        targets_total=overview.targets_total,
        endpoints_done=overview.endpoints_done,
        endpoints_total=overview.endpoints_total,
        served_until=certificate.served_until,
        ca=certificate.ca or None,
        key_algorithm=certificate.intent.key_algorithm,
    )


def request_view(request: Request, certificate: Certificate, given: Sequence[Approver]) -> RequestView:
    """`given` are the approvals that it has."""
    terms = request.terms or BEFORE_POLICIES
    needed = missing(terms.needed, given) if request.state == RequestState.WAITING else ()
    return RequestView(
        id=request.id,
        kind=request.kind,
        certificate_id=request.certificate_id,
        name=request.name,
        owner=request.owner,
        requester=request.requester,
        state=request.state,
        reason=request.reason,
        certificate_state=certificate.state,
        spec=request.intent,
        created_at=request.created_at,
        decided_by=request.decided_by,
        decided_at=request.decided_at,
        expires_at=request.expires_at,
        needed=tuple(NeededView(group=item.group, count=item.count) for item in needed),
        approved_by=tuple(item.person for item in given),
        rules=terms.rules,
        policy_digest=terms.policy,
    )


def site_view(
    site: Site, seen: Sequence[ServiceSeen], counts: Mapping[str, tuple[int, int]], now: datetime
) -> SiteView:
    own = {item.service: item for item in seen if item.place == site.name}
    heartbeats = [own[service].last_heartbeat if service in own else None for service in site.services]
    known = [instant for instant in heartbeats if instant is not None]
    done, total = counts.get(site.name, (0, 0))
    return SiteView(
        name=site.name,
        services=site.services,
        last_heartbeat=min(known) if known and len(known) == len(heartbeats) else None,
        targets=total,
        targets_done=done,
        silent=tuple(service for service in site.services if service not in own or is_silent(own[service], now=now)),
    )


def service_views(sites: Sequence[Site], seen: Sequence[ServiceSeen], now: datetime) -> list[ServiceView]:
    """Every expected service, and every other that reported, by place. The registry adds itself."""
    known = {(item.place, item.service): item for item in seen}
    places = sorted({*known, *expected_services(sites)})
    found = [known.get(key) or ServiceSeen(*key, version=None, last_heartbeat=None) for key in places]
    views = [
        ServiceView(
            place=item.place,
            service=item.service,
            version=item.version,
            last_heartbeat=item.last_heartbeat,
            silent=is_silent(item, now=now),
            kinds=item.kinds or (),
            contract=item.contract,
        )
        for item in found
    ]
    views.append(_itself(now))
    return sorted(views, key=lambda view: (view.place, view.service))


def _itself(now: datetime) -> ServiceView:
    return ServiceView(
        place=HUB, service="registry", version=version("certbus-registry"), last_heartbeat=now, silent=False
    )


def site_review(
    site: str, stored: StoredReview, secrets: Sequence[DiscoveredSecret], names: Mapping[str, str], now: datetime
) -> SiteReview:
    """A page of a site's Secrets, each with the certificate that it carries where it is ours."""
    reviewed = (
        ReviewedSecret(
            **secret.model_dump(),
            managed=names.get(secret.certificate_id or ""),
            in_days=(secret.not_after - now).days if secret.not_after else None,
        )
        for secret in secrets
    )
    return SiteReview(
        site=site, reported_at=stored.reviewed_at, unreachable=stored.unreachable, secrets=tuple(reviewed)
    )


def alert_view(record: AlertRecord) -> AlertView:
    state = AlertState.OPEN if record.resolved_at is None else AlertState.RESOLVED
    return AlertView(state=state, **asdict(record))
