"""Issuance: what the issuer's reports change, and the signing requests that go to it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from certcore.api import CertificateState
from certcore.certificate import KeyAlgorithm
from certcore.errors import PermanentError, TransientError
from certcore.events import (
    CertificateFailing,
    CertificateIssued,
    CsrAccepted,
    CsrExpired,
    CsrOffered,
    RevisionFailed,
    RevisionIssued,
    RevisionStarted,
)
from certcore.inspection import X509Certificate
from certcore.placements import PLATFORM, Action
from certcore.subjects import Reporter
from registry.domain.access import check_reporter
from registry.domain.certificate import Approval, Certificate
from registry.domain.change import Change
from registry.domain.deployment import SealedKeys, deployments
from registry.domain.errors import ConflictError
from registry.domain.lifecycle import Trigger, follow
from registry.domain.orders import csr_order, is_awaited
from registry.domain.placement import Placement
from registry.domain.revision import Revision, SigningRequest, SigningState
from registry.domain.rollout import Rollout
from registry.domain.signing import check_csr, wanted_csr
from registry.domain.site import Carried, recipient_names

__all__ = ["accept_leaf", "expire_csr", "fail", "issue", "offer_csr", "start", "want"]


_CLOCK_SKEW: Final = timedelta(hours=1)
"""CAs set not_before about this much in the past; the clock here may be behind as well."""


def start(rollout: Rollout, report: RevisionStarted, *, now: datetime) -> Change:
    """The issuer began with the revision that is ordered."""
    certificate = rollout.certificate
    if not is_awaited(rollout, report.revision, report.variant):
        return _not_awaited(report.revision, report.variant)
    reason = f"revision {report.revision} is being ordered from {report.ca}"
    delivered = certificate.state in {CertificateState.DELIVERING, CertificateState.LIVE}
    if delivered or (certificate.state is CertificateState.FAILING and report.variant != PLATFORM):
        # Another variant was issued before, or the platform's failed: the state is that of that one.
        return Change(reason)
    state = follow(certificate.state, Trigger.ISSUING_STARTED)
    return Change(reason, certificate=certificate.moved(state, reason, now, certificate.next_try))


def issue(rollout: Rollout, report: RevisionIssued, sealed: SealedKeys, carried: Carried, *, now: datetime) -> Change:
    """The issuer has a newer revision of a variant: its targets should hold it from now on.

    Raises:
        TransientError: the revision is not stored yet.
        PermanentError: another leaf is stored as this revision, or a recipient has no sealed key of it.
    """
    certificate = rollout.certificate
    mine = [item for item in rollout.placements if item.variant == report.variant and item.action is Action.HOLD]
    if not mine or all((item.wanted or 0) >= report.revision for item in mine):
        return Change(f"revision {report.revision} is not newer than the wanted one")
    stored = rollout.revision(report.revision, report.variant)
    if stored is None:
        raise TransientError(f"revision {report.revision} of {certificate.name} is announced but not stored yet")
    if stored.fingerprint_sha256 != report.fingerprint_sha256:
        raise PermanentError(f"revision {report.revision} of {certificate.name} is announced with another leaf")
    revision = replace(
        stored, announced=True, ca=report.ca, validation_method=report.validation_method, ari_id=report.ari_id
    )
    rollout, placements = want(rollout.with_revision(revision), mine, revision.number, now)
    signing = tuple(
        replace(item, state=SigningState.ISSUED, since=now, failure="")
        for item in rollout.signing
        if (item.revision, item.variant) == (revision.number, revision.variant)
    )
    rollout = _issued_state(rollout, revision, f"revision {revision.number} issued by {report.ca}", now)
    return Change(
        rollout.certificate.reason,
        certificate=rollout.certificate,
        revision=revision,
        placements=placements,
        signing=signing,
        announced=(
            _issued(rollout.certificate, revision),
            *deployments(rollout, sealed, carried, of=placements),
            rollout.expectation(),
        ),
    )


def want(
    rollout: Rollout, placements: Sequence[Placement], revision: int, now: datetime
) -> tuple[Rollout, tuple[Placement, ...]]:
    """These placements should hold the revision: all get the certificate's next generation."""
    generation = rollout.certificate.next_generation
    ordered = tuple(item.ordered(revision, generation, now) for item in placements)
    rollout = replace(rollout, certificate=replace(rollout.certificate, generation=generation))
    for item in ordered:
        rollout = rollout.with_placement(item)
    return rollout, ordered


def _issued_state(rollout: Rollout, revision: Revision, issued: str, now: datetime) -> Rollout:
    """The lifecycle follows the first variant of a revision; one that comes later changes only what is missing.

    If the platform's variant failed, another variant doesn't change that.
    """
    certificate = rollout.certificate
    if certificate.state is CertificateState.FAILING and revision.variant != PLATFORM:
        return rollout
    if certificate.state not in {CertificateState.DELIVERING, CertificateState.LIVE}:
        certificate = certificate.moved(follow(certificate.state, Trigger.ISSUED), issued, now)
        certificate = certificate.moved(follow(certificate.state, Trigger.DELIVERY_ORDERED), issued, now)
    rollout = replace(rollout, certificate=certificate)
    if certificate.state is CertificateState.LIVE:
        return rollout
    reason = rollout.progress.reason
    return replace(rollout, certificate=certificate.moved(certificate.state, reason, now))


def fail(rollout: Rollout, report: RevisionFailed, *, now: datetime) -> Change:
    """The issuer could not get the revision that is ordered. A variant that fails leaves the others as they are."""
    certificate = rollout.certificate
    why = report.reason[:500]
    failing = CertificateFailing(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        revision=report.revision,
        reason=why,
        next_try=report.next_try,
        variant=report.variant,
        code=report.code,
        must_act=report.must_act,
    )
    if report.variant != PLATFORM:
        signing = tuple(
            replace(item, failure=why)
            for item in rollout.signing
            if (item.revision, item.variant, item.state) == (report.revision, report.variant, SigningState.ORDERED)
        )
        if not signing:
            return _not_awaited(report.revision, report.variant)
        return Change(why, certificate=certificate, signing=signing, announced=(failing,))
    if not is_awaited(rollout, report.revision, report.variant):
        return _not_awaited(report.revision, report.variant)
    state = follow(certificate.state, Trigger.ISSUING_FAILED)
    reason = f"revision {report.revision} was not issued: {why}"
    return Change(reason, certificate=certificate.moved(state, reason, now, report.next_try), announced=(failing,))


def _not_awaited(revision: int, variant: str) -> Change:
    return Change(f"revision {revision} ({variant}) is not the one that is awaited")


def _issued(certificate: Certificate, revision: Revision) -> CertificateIssued:
    return CertificateIssued(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        revision=revision.number,
        serial=revision.serial,
        fingerprint_sha256=revision.fingerprint_sha256,
        not_after=revision.not_after,
        variant=revision.variant,
    )


def accept_leaf(
    rollout: Rollout,
    chain: Sequence[X509Certificate],
    number: int,
    variant: str,
    sealed_to: set[str],
    *,
    reported: bool = False,
    now: datetime,
) -> Revision:
    """The revision to store for what the issuer handed over, if it is what was ordered and can be served.

    `reported`: the issuer reported this leaf to the registry after a restore, which may have lost the order.

    Raises:
        ConflictError: it wasn't ordered; it has other names, another kind of key or other recipients than it should;
            it is not valid now.
    """
    certificate, leaf = rollout.certificate, chain[0]
    what = f"revision {number} of {certificate.name}"
    _check_ordered(rollout, leaf, number, variant, what, reported=reported)
    if set(leaf.dns_names) != set(certificate.intent.dns_names):
        raise ConflictError(f"{what} has other names than were approved")
    wanted_key = certificate.intent.key_algorithm
    if isinstance(wanted_key, KeyAlgorithm) and leaf.key_algorithm != wanted_key:
        raise ConflictError(f"{what} has a key of {leaf.key_algorithm or 'an unknown kind'}, not {wanted_key}")
    if leaf.not_after <= now or leaf.not_before > now + _CLOCK_SKEW:
        raise ConflictError(
            f"{what} is valid from {leaf.not_before:%Y-%m-%dT%H:%MZ} to {leaf.not_after:%Y-%m-%dT%H:%MZ}, and not now"
        )
    expected = recipient_names(rollout.placements) if variant == PLATFORM else set()
    if sealed_to != expected:
        raise ConflictError(f"{what} is not sealed to {', '.join(sorted(expected)) or 'nobody'}")
    return Revision(
        certificate_id=certificate.id,
        number=number,
        serial=leaf.serial,
        fingerprint_sha256=leaf.fingerprint_sha256,
        spki_sha256=leaf.spki_sha256,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        # As parsed: text between the certificates is not stored.
        chain_pem="".join(item.pem for item in chain),
        stored_at=now,
        variant=variant,
    )


def _check_ordered(
    rollout: Rollout, leaf: X509Certificate, number: int, variant: str, what: str, *, reported: bool
) -> None:
    if variant == PLATFORM:
        wanted = any(item.variant == PLATFORM for item in rollout.placements)
        if not wanted or (number != rollout.certificate.ordered and not reported):
            raise ConflictError(f"{what} was not ordered")
        return
    ordered = next(
        (
            item
            for item in rollout.signing
            if (item.revision, item.variant, item.state) == (number, variant, SigningState.ORDERED)
        ),
        None,
    )
    if ordered is None:
        raise ConflictError(f"{what} was not ordered in the variant {variant}")
    # A restored registry has lost the signing request itself.
    lost = reported and ordered.spki_sha256 is None
    if ordered.spki_sha256 != leaf.spki_sha256 and not lost:
        raise ConflictError(f"{what} has another key than the signing request of target {ordered.target}")


def offer_csr(
    rollout: Rollout,
    report: CsrOffered,
    who: Reporter,
    approval: Approval | None,
    *,
    is_known_key: bool,
    now: datetime,
) -> Change:
    """A target offers its signing request. `is_known_key`: a leaf with this key is stored.

    Raises:
        PermanentError: it is not the reporter's target, or the request must not be signed.
    """
    certificate = rollout.certificate
    wanted = _signing(rollout, report.target, report.revision, report.variant, who)
    if wanted is None or wanted.state is not SigningState.WANTED:
        return Change(f"no signing request of {report.target} is wanted for revision {report.revision}")
    csr = check_csr(
        report.csr_pem, dns_names=certificate.intent.dns_names, key_algorithm=certificate.intent.key_algorithm
    )
    if is_known_key:
        raise PermanentError("the offered signing request has a key that was used before")
    signing = replace(
        wanted,
        state=SigningState.ORDERED,
        since=now,
        # As parsed: a key that was sent with it by mistake is not passed on.
        csr_pem=csr.pem,
        spki_sha256=csr.spki_sha256,
        failure="",
    )
    accepted = CsrAccepted(
        certificate_id=certificate.id,
        name=certificate.name,
        owner=certificate.owner,
        target=report.target,
        order=csr_order(rollout, signing, approval),
    )
    reason = f"target {report.target} offered its signing request for revision {report.revision}"
    return Change(reason, certificate=certificate, signing=(signing,), announced=(accepted,))


def expire_csr(rollout: Rollout, report: CsrExpired, who: Reporter, *, now: datetime) -> Change:
    """A target dropped its pending key: a new signing request is wanted, unless its certificate was issued.

    Raises:
        PermanentError: it is not the reporter's target, or what is stored of the target can't be read.
    """
    certificate = rollout.certificate
    known = _signing(rollout, report.target, report.revision, report.variant, who)
    if known is None or known.state is not SigningState.ORDERED:
        return Change(f"no signing request of {report.target} is pending for revision {report.revision}")
    wanted = replace(known, state=SigningState.WANTED, since=now, csr_pem=None, spki_sha256=None, failure="")
    placement = rollout.placement(report.target)
    assert placement is not None, "a signing request belongs to a placement"
    asked = wanted_csr(rollout, placement, wanted)
    if asked is None:
        raise PermanentError(
            f"the stored intent of {certificate.name} has no target {report.target} that can be read"
        )
    reason = f"the signing request of target {report.target} expired: {report.detail[:300] or 'no detail'}"
    return Change(reason, certificate=certificate, signing=(wanted,), announced=(asked,))


def _signing(rollout: Rollout, target: str, revision: int, variant: str, who: Reporter) -> SigningRequest | None:
    placement = rollout.placement(target)
    if placement is None:
        raise PermanentError(f"certificate {rollout.certificate.name} has no target {target}")
    check_reporter(who, Reporter(placement.place, placement.service))
    key = (revision, variant, target)
    return next((item for item in rollout.signing if (item.revision, item.variant, item.target) == key), None)
