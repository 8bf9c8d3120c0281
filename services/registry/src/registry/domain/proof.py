"""Proof: what reports of deliveries and observations change. A certificate becomes live only by proof."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from certcore.api import CertificateState
from certcore.errors import PermanentError
from certcore.events import (
    CertificateDelivered,
    CertificateLive,
    DeliveryFailed,
    DeliveryProgressed,
    DeliveryRolledBack,
    DeliverySucceeded,
    DeliveryWithdrawn,
    EndpointObserved,
)
from certcore.placements import Action
from certcore.subjects import Reporter
from registry.domain.access import check_reporter
from registry.domain.change import Change
from registry.domain.lifecycle import Trigger, follow
from registry.domain.placement import Placement
from registry.domain.rollout import Rollout

__all__ = [
    "CLOCK_AHEAD",
    "advance",
    "deliver",
    "fail_delivery",
    "observe",
    "progress_delivery",
    "roll_back",
    "withdraw",
]

CLOCK_AHEAD: Final = timedelta(minutes=5)
"""An observation from further in the future is refused: the reporter's clock is wrong."""


def deliver(rollout: Rollout, report: DeliverySucceeded, who: Reporter, *, now: datetime) -> Change:
    """A target holds a generation.

    Raises:
        PermanentError: the certificate has no such target, or it is not the reporter's.
    """
    placement = _placement(rollout, report.target, who)
    certificate = rollout.certificate
    stale = _stale(placement, report.generation)
    if stale is not None:
        return Change(stale)
    delivered = CertificateDelivered(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        revision=report.revision,
        target=report.target,
        site=placement.place,
        variant=placement.variant,
    )
    news = (delivered,) if (placement.held, placement.held_generation) != (report.revision, report.generation) else ()
    placement = replace(
        placement,
        held=report.revision,
        held_generation=report.generation,
        failed_generation=None,
        failure="",
        next_try=None,
        step="",
    )
    return _placed(rollout, placement, now).after(*news)


def fail_delivery(rollout: Rollout, report: DeliveryFailed, who: Reporter, *, now: datetime) -> Change:
    """A target could not get its generation.

    Raises:
        PermanentError: the certificate has no such target, or it is not the reporter's.
    """
    placement = _placement(rollout, report.target, who)
    stale = _stale(placement, report.generation)
    if stale is not None:
        return Change(stale)
    failure = f"{report.reason}: {report.detail}" if report.detail else str(report.reason)
    placement = replace(
        placement, failed_generation=report.generation, failure=failure[:500], next_try=report.next_try, step=""
    )
    return _placed(rollout, placement, now)


def progress_delivery(rollout: Rollout, report: DeliveryProgressed, who: Reporter, *, now: datetime) -> Change:
    """A slow delivery reached another step.

    Raises:
        PermanentError: the certificate has no such target, or it is not the reporter's.
    """
    placement = _placement(rollout, report.target, who)
    stale = _stale(placement, report.generation)
    if stale is not None:
        return Change(stale)
    step = f"{report.step}: {report.detail}" if report.detail else report.step
    placement = replace(placement, step=step[:300], failed_generation=None, failure="", next_try=report.next_look)
    return _placed(rollout, placement, now)


def roll_back(rollout: Rollout, report: DeliveryRolledBack, who: Reporter, *, now: datetime) -> Change:
    """A driver restored an earlier revision, since the wanted one could not be proven there.

    Raises:
        PermanentError: the certificate has no such target, or it is not the reporter's.
    """
    placement = _placement(rollout, report.target, who)
    stale = _stale(placement, report.generation)
    if stale is not None:
        return Change(stale)
    failure = f"rolled back to revision {report.held_revision}: {report.reason}: {report.detail}"
    placement = replace(
        placement,
        held=report.held_revision,
        held_generation=None,
        failed_generation=report.generation,
        failure=failure[:500],
        next_try=None,
        step="",
    )
    return _placed(rollout, placement, now)


def withdraw(rollout: Rollout, report: DeliveryWithdrawn, who: Reporter, *, now: datetime) -> Change:
    """A target holds nothing of the certificate any more.

    Raises:
        PermanentError: the certificate has no such target, or it is not the reporter's.
    """
    placement = _placement(rollout, report.target, who)
    stale = _stale(placement, report.generation)
    if stale is not None or placement.action is not Action.WITHDRAW:
        return Change(stale or f"target {report.target} should hold something")
    placement = replace(
        placement, held=None, held_generation=report.generation, failed_generation=None, failure="", step=""
    )
    return _placed(rollout, placement, now)


def observe(rollout: Rollout, report: EndpointObserved, who: Reporter, *, now: datetime) -> Change:
    """A monitor looked at an endpoint. A look that is older than the stored one changes nothing.

    Raises:
        PermanentError: the reporter is no monitor, or its clock is far ahead.
    """
    if who.service != "monitor":
        raise PermanentError(f"{who.service} at {who.place} can't report what an endpoint serves")
    if report.observed_at > now + CLOCK_AHEAD:
        raise PermanentError(
            f"the observation is dated {report.observed_at.isoformat()}, which is ahead of {now.isoformat()}:"
            f" the clock of {who.service} at {who.place} is wrong"
        )
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
        in_a_row=report.in_a_row,
        looked_at=None,
    )
    accepted = rollout.accepted_at(seen)
    rollout = rollout.with_endpoint(endpoint)
    proven = next(
        (item for item in rollout.wanted_at(endpoint) if item.fingerprint_sha256 == report.served_fingerprint_sha256),
        None,
    )
    if proven is not None and rollout.is_served(endpoint):
        # By the observed leaf: the number in the report is only what the expectation had.
        endpoint = replace(endpoint, proven=proven.number)
        rollout = rollout.with_endpoint(endpoint)
    change = replace(advance(rollout, now=now), endpoints=(endpoint,))
    if rollout.certificate.state is CertificateState.DELIVERING or rollout.accepted_at(endpoint) == accepted:
        return change
    # Earlier revisions are no longer accepted there. During a delivery, `advance` announces that for all endpoints.
    certificate = replace(rollout.certificate, generation=rollout.certificate.next_generation)
    expectation = rollout.with_certificate(certificate).expectation()
    return replace(change, certificate=certificate, announced=(expectation,))


def advance(rollout: Rollout, *, now: datetime) -> Change:
    """Live where everything is proven; until then the reason names what is missing."""
    certificate = rollout.certificate
    found = rollout.progress
    if certificate.state is not CertificateState.DELIVERING:
        return Change(f"the certificate is {certificate.state}", certificate=certificate)
    if not found.proven:
        return Change(found.reason, certificate=certificate.moved(certificate.state, found.reason, now))
    certificate = certificate.moved(follow(certificate.state, Trigger.PROVEN), found.reason, now)
    shown = rollout.shown
    assert shown is not None, "what is proven is stored"
    live = CertificateLive(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        revision=shown.number,
        fingerprint_sha256=shown.fingerprint_sha256,
    )
    if not rollout.accepts_less_by_proof:
        return Change(found.reason, certificate=certificate, announced=(live,))
    # The revisions before are no longer accepted.
    certificate = replace(certificate, generation=certificate.next_generation)
    expectation = rollout.with_certificate(certificate).expectation()
    return Change(found.reason, certificate=certificate, announced=(live, expectation))


def _placement(rollout: Rollout, target: str, who: Reporter) -> Placement:
    placement = rollout.placement(target)
    if placement is None:
        raise PermanentError(f"certificate {rollout.certificate.name} has no target {target}")
    check_reporter(who, Reporter(placement.place, placement.service))
    return placement


def _stale(placement: Placement, generation: int) -> str | None:
    """Why a report isn't about what is wanted now; None where it is."""
    if generation == placement.generation:
        return None
    return f"generation {generation} of target {placement.target} is not the wanted one ({placement.generation})"


def _placed(rollout: Rollout, placement: Placement, now: datetime) -> Change:
    return replace(advance(rollout.with_placement(placement), now=now), placements=(placement,))
