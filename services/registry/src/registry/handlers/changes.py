"""Carries out decisions: saved, judged and announced in one transaction."""

from collections.abc import Sequence
from dataclasses import replace

import structlog
from pydantic import JsonValue

from certcore.clock import Clock
from certcore.events import CertificateHealthChanged
from registry.adapters.outbox import Outbox
from registry.adapters.store import Transaction
from registry.domain.certificate import Approval, Certificate
from registry.domain.change import Announced, Change
from registry.domain.deployment import Deployment
from registry.domain.health import assess
from registry.domain.holding import calendar_for
from registry.domain.present_cas import with_present_cas
from registry.domain.renewal import kept_turn, next_renewal
from registry.domain.rollout import Rollout
from registry.domain.signing import WantedCsr
from registry.handlers.policies import Policies

__all__ = ["Changes"]

log = structlog.get_logger()


class Changes:
    """Saves what a decision changes, and judges conditions and health by what is there then."""

    def __init__(self, *, outbox: Outbox, policies: Policies, clock: Clock) -> None:
        self._outbox = outbox
        self._policies = policies
        self._clock = clock

    def judged(
        self, transaction: Transaction, rollout: Rollout, change: Change, *, granted: Approval | None
    ) -> Certificate:
        """A new certificate as it will be when it is stored with this change, and with an approval."""
        return self.judge_all(transaction, [_applied(rollout, change)], granted=granted)[0]

    def add(self, transaction: Transaction, rollout: Rollout, change: Change, form: dict[str, JsonValue]) -> None:
        """Store a new certificate with its rollout; `form` is its intent as `certcore.certificate.stored` gives it.
        What is announced is left to `tell`.
        """
        transaction.certificates.add(rollout.certificate, form)
        transaction.rollouts.add(rollout)
        for request in change.signing:
            transaction.signing_requests.save(request)

    def save(self, transaction: Transaction, rollout: Rollout, change: Change) -> Certificate:
        """Save a change of a certificate, then announce it; returns the certificate as it is then."""
        before, change = rollout.certificate, _news(rollout, change)
        if change.certificate is None and not _has_parts(change):
            return before
        certificate = self.judge(transaction, _applied(rollout, change))
        if certificate != before or _has_parts(change):
            # First, whatever changed: its version shows concurrent changes of the same certificate.
            certificate = transaction.certificates.save(certificate)
        if change.revision is not None:
            transaction.revisions.save(change.revision)
        for placement in change.placements:
            transaction.placements.save(placement)
        for endpoint in change.endpoints:
            transaction.endpoints.save(endpoint)
        for request in change.signing:
            transaction.signing_requests.save(request)
        self.tell(transaction, before, certificate, change.announced)
        if certificate.state is not before.state:
            log.info(
                "certificate_moved", certificate=certificate.name, state=str(certificate.state), reason=change.reason
            )
        return certificate

    def judge(self, transaction: Transaction, rollout: Rollout) -> Certificate:
        """The certificate with its conditions, health, and what else follows from the rollout, as they are now."""
        return self.judge_all(transaction, [rollout])[0]

    def judge_all(
        self, transaction: Transaction, rollouts: Sequence[Rollout], *, granted: Approval | None = None
    ) -> list[Certificate]:
        """As `judge`, with three statements however many they are; in their order. An approval that was `granted` is
        not stored yet.
        """
        workers, now = transaction.probe_workers.all(), self._clock()
        known: dict[str | None, Approval] = {granted.id: granted} if granted is not None else {}
        ids = (rollout.certificate.approval_id for rollout in rollouts)
        approvals = known | transaction.approvals.many(item for item in ids if item not in known)
        policy = self._policies.document(transaction)
        judged = []
        for rollout in rollouts:
            certificate = rollout.certificate
            approval = with_present_cas(approvals.get(certificate.approval_id), certificate.intent, policy)
            approved = approval is not None and approval.spec_hash == certificate.spec_hash
            found = assess(rollout, workers, approved=approved, now=now)
            following = next_renewal(rollout, approval, calendar_for(policy, rollout), now=now)
            due_at, renewal_reason = kept_turn(certificate, following, now=now)
            judged.append(
                replace(
                    certificate,
                    health=found.health,
                    health_reason=found.reason,
                    conditions=found.conditions,
                    due_at=due_at,
                    renewal_reason=renewal_reason,
                    renew_by=following.by,
                    served_until=rollout.served_until,
                    ca=shown.ca if (shown := rollout.shown) else "",
                    overview=rollout.overview(),
                )
            )
        return judged

    def correct(self, transaction: Transaction, rollout: Rollout) -> bool:
        """Save and announce what changed by time alone; False where nothing did.

        Raises:
            RowChangedError: somebody saved it since it was read, and judged it.
        """
        before, after = rollout.certificate, self.judge(transaction, rollout)
        if before == after:
            return False
        self.announce_health(transaction, before, transaction.certificates.save(after))
        return True

    def tell(
        self, transaction: Transaction, before: Certificate, after: Certificate, announced: tuple[Announced, ...]
    ) -> None:
        """Announce this, and the health where that changed."""
        self.announce(transaction, after, announced)
        self.announce_health(transaction, before, after)

    def announce(self, transaction: Transaction, certificate: Certificate, announced: tuple[Announced, ...]) -> None:
        for item in announced:
            match item:
                case Deployment():
                    self._outbox.order(transaction, certificate, item)
                case WantedCsr():
                    self._outbox.ask_for_csr(transaction, certificate, item)
                case _:
                    self._outbox.announce(transaction, certificate, item)

    def announce_health(self, transaction: Transaction, before: Certificate, after: Certificate) -> None:
        """Announce the health where it, or the status or reason of a condition, changed."""
        if _facts(before) == _facts(after):
            return
        event = CertificateHealthChanged(
            certificate_id=after.id,
            name=after.name,
            owner=after.owner,
            health=after.health,
            conditions=after.conditions,
        )
        self._outbox.announce(transaction, after, event)
        if before.health != after.health:
            log.info("health_changed", certificate=after.name, health=str(after.health), reason=after.health_reason)


def _news(rollout: Rollout, change: Change) -> Change:
    """Without the parts that are stored already."""
    return replace(
        change,
        placements=tuple(item for item in change.placements if item not in rollout.placements),
        endpoints=tuple(item for item in change.endpoints if item not in rollout.endpoints),
        signing=tuple(item for item in change.signing if item not in rollout.signing),
    )


def _has_parts(change: Change) -> bool:
    return bool(change.revision or change.placements or change.endpoints or change.signing)


def _applied(rollout: Rollout, change: Change) -> Rollout:
    if change.revision is not None:
        rollout = rollout.with_revision(change.revision)
    for placement in change.placements:
        rollout = rollout.with_placement(placement)
    for endpoint in change.endpoints:
        rollout = rollout.with_endpoint(endpoint)
    for request in change.signing:
        rollout = rollout.with_signing(request)
    return rollout.with_certificate(change.certificate or rollout.certificate)


def _facts(certificate: Certificate) -> tuple[object, ...]:
    conditions = [(item.type, item.status, item.reason) for item in certificate.conditions]
    return (certificate.health, conditions)
