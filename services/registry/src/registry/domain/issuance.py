"""Issuance: what is ordered from the issuer, and what its reports change."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from certcore.certificate import Exposure
from certcore.errors import PermanentError, TransientError
from certcore.events import (
    CertificateFailing,
    CertificateIssued,
    Event,
    IssueOrder,
    RevisionFailed,
    RevisionIssued,
    RevisionStarted,
)
from registry.domain.certificate import Approval, Certificate, Revision
from registry.domain.change import Change
from registry.domain.deployment import Deployment, deployments
from registry.domain.lifecycle import Trigger, follow
from registry.domain.rollout import Rollout, expectation, progress
from registry.domain.site import Site, recipients

__all__ = ["fail", "issue", "issue_order", "start"]


def issue_order(
    certificate: Certificate, approval: Approval, revision: int, sites: Sequence[Site], *, replaces: str | None
) -> IssueOrder:
    """The order for one revision, sealed to every service that delivers to one of the certificate's targets."""
    return IssueOrder(
        certificate_id=certificate.id,
        name=certificate.name,
        revision=revision,
        dns_names=certificate.spec.dns_names,
        exposure=Exposure(certificate.spec.exposure),
        issuer=certificate.spec.issuer,
        key_algorithm=certificate.spec.key_algorithm,
        approval_id=approval.id,
        recipients=recipients(certificate, sites),
        replaces=replaces,
    )


def start(certificate: Certificate, report: RevisionStarted, *, now: datetime) -> Change:
    """The issuer began with the revision that is ordered."""
    if not _is_awaited(certificate, report.revision):
        return _not_awaited(report.revision)
    state = follow(certificate.state, Trigger.ISSUING_STARTED)
    reason = f"revision {report.revision} is being ordered from {report.ca}"
    return Change(reason, certificate=certificate.moved(state, reason, now, certificate.next_try))


def issue(rollout: Rollout, report: RevisionIssued, sealed: Mapping[str, bytes], *, now: datetime) -> Change:
    """The issuer has a newer revision than the wanted one: it is wanted from now on, and its deployments are ordered.

    Raises:
        TransientError: the revision is not stored yet.
        PermanentError: another leaf is stored as this revision, or a recipient has no sealed key of it.
    """
    certificate = rollout.certificate
    if report.revision <= certificate.wanted:
        return Change(f"revision {report.revision} is not newer than the wanted one")
    stored = rollout.revision(report.revision)
    if stored is None:
        raise TransientError(f"revision {report.revision} of {certificate.name} is announced but not stored yet")
    if stored.fingerprint_sha256 != report.fingerprint_sha256:
        raise PermanentError(f"revision {report.revision} of {certificate.name} is announced with another leaf")
    revision = replace(
        stored, announced=True, ca=report.ca, validation_method=report.validation_method, ari_id=report.ari_id
    )
    certificate = replace(certificate, wanted=revision.number)
    certificate = certificate.moved(
        follow(certificate.state, Trigger.ISSUED), f"revision {revision.number} issued by {report.ca}", now
    )
    # A failure of the revision before says nothing about this one.
    deliveries = tuple(replace(delivery, failure="", next_try=None) for delivery in rollout.deliveries)
    found = progress(deliveries, rollout.endpoints, certificate.wanted)
    announced: tuple[Event | Deployment, ...] = (
        _issued(certificate, revision),
        *deployments(certificate, revision, sealed),
        expectation(certificate, rollout.revisions),
    )
    return Change(
        found.reason,
        certificate=certificate.moved(follow(certificate.state, Trigger.DELIVERY_ORDERED), found.reason, now),
        revision=revision,
        deliveries=deliveries,
        announced=announced,
    )


def fail(certificate: Certificate, report: RevisionFailed, *, now: datetime) -> Change:
    """The issuer could not get the revision that is ordered."""
    if not _is_awaited(certificate, report.revision):
        return _not_awaited(report.revision)
    state = follow(certificate.state, Trigger.ISSUING_FAILED)
    why = report.reason[:500]
    reason = f"revision {report.revision} was not issued: {why}"
    failing = CertificateFailing(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        revision=report.revision,
        reason=why,
        next_try=report.next_try,
    )
    return Change(reason, certificate=certificate.moved(state, reason, now, report.next_try), announced=(failing,))


def _is_awaited(certificate: Certificate, revision: int) -> bool:
    return certificate.wanted < revision == certificate.ordered


def _not_awaited(revision: int) -> Change:
    return Change(f"revision {revision} is not the one that is awaited")


def _issued(certificate: Certificate, revision: Revision) -> CertificateIssued:
    return CertificateIssued(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        revision=revision.number,
        serial=revision.serial,
        fingerprint_sha256=revision.fingerprint_sha256,
        not_after=revision.not_after,
    )
