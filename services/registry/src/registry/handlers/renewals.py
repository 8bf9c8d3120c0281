"""Renewals, when due or requested by a person: carried out as the first issue."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import structlog
from opentelemetry import trace

from certcore.audit import Way
from certcore.clock import Clock
from certcore.policy.judgement import allowed_cas
from certkit.telemetry import current_traceparent
from registry.adapters.outbox import Bell
from registry.adapters.store import RowChangedError, Store, Transaction
from registry.domain.certificate import Approval, Certificate
from registry.domain.errors import ConflictError, NotFoundError
from registry.domain.renewal import Renewal, RenewalReason, decide, first_due, not_before, order
from registry.domain.rollout import Rollout
from registry.handlers.changes import Changes
from registry.handlers.policies import Policies

__all__ = ["Renewals"]

log = structlog.get_logger()

_ACTOR = "registry"
_BATCH = 50
"""Each renewal is a work of its own; those of a batch are committed together."""


class Renewals:
    def __init__(
        self,
        *,
        store: Store,
        changes: Changes,
        policies: Policies,
        bell: Bell,
        clock: Clock,
        tracer: trace.Tracer,
    ) -> None:
        self._store = store
        self._changes = changes
        self._policies = policies
        self._bell = bell
        self._clock = clock
        self._tracer = tracer

    def renew_now(self, transaction: Transaction, name: str, *, person: str) -> tuple[Certificate, Renewal]:
        """Order the next revision before it is due; one that is being issued already is answered as such.

        Raises:
            NotFoundError: there is no such certificate.
            ConflictError: it can't be renewed, with the reason why.
            WaitsForIssuerError: the registry was restored and doesn't know yet what was issued.
        """
        transaction.epochs.present().check()
        certificate = transaction.certificates.named(name)
        if certificate is None:
            raise NotFoundError(f"there is no certificate {name}")
        rollout = transaction.rollouts.of(certificate)
        decision = self._decide(transaction, rollout, asked=True)
        if decision.reason is RenewalReason.IN_PROGRESS:
            return certificate, decision
        if not decision.due:
            why = certificate.unreadable or decision.reason.replace("_", " ")
            raise ConflictError(f"{name} can't be renewed now: {why}")
        self._check_pace(transaction, rollout)
        transaction.audit.note(person, "renew", name, decision.reason, self._clock(), way=Way.TOKEN)
        return self._order(transaction, rollout, decision), decision

    def _check_pace(self, transaction: Transaction, rollout: Rollout) -> None:
        certificate = rollout.certificate
        earliest = not_before(first_due(rollout), transaction.approvals.get(certificate.approval_id))
        if earliest is not None and self._clock() < earliest:
            when = f"{earliest.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
            raise ConflictError(f"{certificate.name} can't be renewed by hand before {when}: policy bounds how often")

    async def sweep(self) -> None:
        """Order every renewal that is due. One that is due and can't be ordered stays due, and is looked at again."""
        ordered, after = 0, None
        while True:
            batch = await self._store.read(partial(_due, self._clock(), after))
            ordered += sum(await asyncio.gather(*(self._renew_if_due(certificate_id) for _, certificate_id in batch)))
            if len(batch) < _BATCH:
                break
            after = batch[-1]
        if ordered:
            self._bell.ring()

    async def _renew_if_due(self, certificate_id: str) -> bool:
        def work(transaction: Transaction) -> bool:
            rollout = transaction.rollouts.get(certificate_id)
            if rollout is None:
                return False
            decision = self._decide(transaction, rollout, asked=False)
            if decision.due:
                # Each renewal is a trace of its own: from the decision to the last handshake.
                with self._tracer.start_as_current_span("renewal due"):
                    self._order(transaction, rollout, decision)
                name, now = rollout.certificate.name, self._clock()
                transaction.audit.note(_ACTOR, "renew", name, decision.why, now, way=Way.SYSTEM)
            else:
                self._changes.correct(transaction, rollout)
            return decision.due

        try:
            return await self._store.write(work)
        except RowChangedError as error:
            # The next sweep decides again.
            log.info("renewal_postponed", certificate_id=certificate_id, reason=str(error))
            return False

    def _decide(self, transaction: Transaction, rollout: Rollout, *, asked: bool) -> Renewal:
        approval = self._approval(transaction, rollout.certificate)
        return decide(rollout.certificate, first_due(rollout), approval, now=self._clock(), asked=asked)

    def _approval(self, transaction: Transaction, certificate: Certificate) -> Approval | None:
        """With the CAs that policy allows now: one that it doesn't name any more gets no further order."""
        approval = transaction.approvals.get(certificate.approval_id)
        present = self._policies.present(transaction)
        if approval is None or present is None:
            return approval
        intent = certificate.intent
        cas = allowed_cas(present[1], intent.exposure, intent.dns_names, asked=intent.issuer)
        return replace(approval, cas=cas)

    def _order(self, transaction: Transaction, rollout: Rollout, decision: Renewal) -> Certificate:
        approval = self._approval(transaction, rollout.certificate)
        assert approval is not None, "decide() lets no renewal through without one"
        transaction.approvals.save_cas(approval)
        change = order(
            rollout,
            approval,
            transaction.sites.all(),
            decision.why,
            traceparent=current_traceparent(),
            now=self._clock(),
        )
        return self._changes.save(transaction, rollout, change)


def _due(now: datetime, after: tuple[datetime, str] | None, transaction: Transaction) -> list[tuple[datetime, str]]:
    if transaction.epochs.present().waiting:
        # What is due by an older copy may be renewed already.
        return []
    return transaction.certificates.due(now=now, after=after, limit=_BATCH)
