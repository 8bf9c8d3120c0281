"""Proof: what reports of deliveries and observations change. A certificate is live by proof, and by nothing else."""

from dataclasses import replace
from datetime import datetime

from certcore.api import CertificateState
from certcore.errors import PermanentError
from certcore.events import (
    CertificateDelivered,
    CertificateLive,
    DeliveryFailed,
    DeliverySucceeded,
    EndpointObserved,
)
from certcore.subjects import Reporter
from registry.domain.access import check_reporter
from registry.domain.certificate import Delivery, Endpoint
from registry.domain.change import Change
from registry.domain.lifecycle import Trigger, follow
from registry.domain.rollout import Rollout, expectation, progress

__all__ = ["advance", "deliver", "fail_delivery", "observe"]


def deliver(rollout: Rollout, report: DeliverySucceeded, who: Reporter, *, now: datetime) -> Change:
    """A target has the wanted revision.

    Raises:
        PermanentError: the certificate has no such target, or it is not the reporter's.
    """
    delivery = _delivery(rollout, report.target, who)
    certificate = rollout.certificate
    if report.revision != certificate.wanted or report.revision < (delivery.revision or 0):
        return Change(f"revision {report.revision} is not the wanted one")
    delivered = CertificateDelivered(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        revision=report.revision,
        target=report.target,
        site=delivery.site,
    )
    news = (delivered,) if delivery.revision != report.revision else ()
    delivery = replace(delivery, revision=report.revision, failed_revision=None, failure="", next_try=None)
    advanced = advance(_with_delivery(rollout, delivery), now=now)
    return replace(advanced, deliveries=(delivery,), announced=(*news, *advanced.announced))


def fail_delivery(rollout: Rollout, report: DeliveryFailed, who: Reporter, *, now: datetime) -> Change:
    """A target could not get the wanted revision.

    Raises:
        PermanentError: the certificate has no such target, or it is not the reporter's.
    """
    delivery = _delivery(rollout, report.target, who)
    if report.revision != rollout.certificate.wanted:
        return Change(f"revision {report.revision} is not the wanted one")
    failure = f"{report.reason}: {report.detail}" if report.detail else report.reason.value
    delivery = replace(delivery, failed_revision=report.revision, failure=failure[:500], next_try=report.next_try)
    return replace(advance(_with_delivery(rollout, delivery), now=now), deliveries=(delivery,))


def observe(rollout: Rollout, report: EndpointObserved, who: Reporter, *, now: datetime) -> Change:
    """A monitor looked at an endpoint. A look that is older than the stored one changes nothing.

    Raises:
        PermanentError: the reporter is no monitor.
    """
    if who.service != "monitor":
        raise PermanentError(f"{who.service} at {who.place} can't report what an endpoint serves")
    seen = next((endpoint for endpoint in rollout.endpoints if endpoint.url == report.url), None)
    if seen is None:
        return Change(f"the certificate has no endpoint {report.url}")
    if seen.observed_at is not None and report.observed_at < seen.observed_at:
        return Change("a newer observation is stored")
    detail = next((address.detail for address in report.addresses if address.detail), "")
    endpoint = replace(
        seen,
        verdict=report.verdict,
        served_revision=report.served_revision,
        served_fingerprint_sha256=report.served_fingerprint_sha256,
        detail=detail[:500],
        addresses=tuple(address.address for address in report.addresses),
        observed_at=report.observed_at,
    )
    return replace(advance(_with_endpoint(rollout, endpoint), now=now), endpoint=endpoint)


def advance(rollout: Rollout, *, now: datetime) -> Change:
    """Live where everything is proven; until then the reason says what is missing."""
    certificate = rollout.certificate
    if certificate.state is not CertificateState.DELIVERING:
        return Change(f"the certificate is {certificate.state}")
    found = progress(rollout.deliveries, rollout.endpoints, certificate.wanted)
    if not found.proven:
        return Change(found.reason, certificate=certificate.moved(certificate.state, found.reason, now))
    certificate = replace(certificate, proven=certificate.wanted)
    certificate = certificate.moved(follow(certificate.state, Trigger.PROVEN), found.reason, now)
    newest = rollout.revision(certificate.wanted)
    assert newest is not None, "a wanted revision is stored"
    live = CertificateLive(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        revision=newest.number,
        fingerprint_sha256=newest.fingerprint_sha256,
    )
    # The old revision is no longer accepted.
    return Change(
        found.reason, certificate=certificate, announced=(live, expectation(certificate, rollout.revisions))
    )


def _delivery(rollout: Rollout, target: str, who: Reporter) -> Delivery:
    for delivery in rollout.deliveries:
        if delivery.target == target:
            check_reporter(who, Reporter(delivery.site, delivery.service))
            return delivery
    raise PermanentError(f"certificate {rollout.certificate.name} has no target {target}")


def _with_delivery(rollout: Rollout, delivery: Delivery) -> Rollout:
    deliveries = tuple(delivery if other.target == delivery.target else other for other in rollout.deliveries)
    return replace(rollout, deliveries=deliveries)


def _with_endpoint(rollout: Rollout, endpoint: Endpoint) -> Rollout:
    endpoints = tuple(endpoint if other.url == endpoint.url else other for other in rollout.endpoints)
    return replace(rollout, endpoints=endpoints)
