"""Renewals: decided by the calendar or asked for by a person, carried out by the path of the first issue."""

import asyncio

from opentelemetry import trace

from certcore.api import CertificateState
from certcore.clock import Clock
from certkit.telemetry import current_traceparent
from registry.adapters.outbox import Bell, Outbox
from registry.adapters.store import Store, Transaction
from registry.domain.certificate import Certificate
from registry.domain.errors import ConflictError, NotFoundError
from registry.domain.renewal import Renewal, RenewalReason, decide, order
from registry.handlers.changes import save_change

__all__ = ["Renewals"]

_RENEWABLE = (CertificateState.LIVE, CertificateState.DELIVERING)


class Renewals:
    def __init__(self, *, store: Store, outbox: Outbox, bell: Bell, clock: Clock, tracer: trace.Tracer) -> None:
        self._store = store
        self._outbox = outbox
        self._bell = bell
        self._clock = clock
        self._tracer = tracer

    async def renew_now(self, name: str, *, person: str) -> tuple[Certificate, Renewal]:
        """Order the next revision before it is due; one that is being issued already is answered as such.

        Raises:
            NotFoundError: there is no such certificate.
            ConflictError: it can't be renewed, with the reason why.
        """
        async with self._store.transaction() as transaction:
            certificate = await transaction.certificates.named(name)
            if certificate is None:
                raise NotFoundError(f"there is no certificate {name}")
            decision = await self._decide(transaction, certificate, asked=True)
            if decision.reason is RenewalReason.IN_PROGRESS:
                return certificate, decision
            if not decision.due:
                raise ConflictError(f"{name} can't be renewed now: {decision.reason.replace('_', ' ')}")
            await transaction.audit.note(person, "renew", name, decision.reason, self._clock())
            return await self._order(transaction, certificate, decision), decision

    async def sweep(self) -> int:
        """Order every renewal that is due; returns how many."""
        async with self._store.transaction() as transaction:
            candidates = await transaction.certificates.all(states=_RENEWABLE)
        ordered = 0
        for candidate in candidates:
            async with self._store.transaction() as transaction:
                certificate = await transaction.certificates.get(candidate.id)
                if certificate is None or certificate.state not in _RENEWABLE:
                    continue
                decision = await self._decide(transaction, certificate, asked=False)
                if decision.due:
                    # Each renewal is a trace of its own: from the decision to the last handshake.
                    with self._tracer.start_as_current_span("renewal due"):
                        await self._order(transaction, certificate, decision)
                    ordered += 1
        if ordered:
            self._bell.ring()
        return ordered

    async def run(self, every_s: float) -> None:
        """Sweep until cancelled."""
        while True:
            await self.sweep()
            await asyncio.sleep(every_s)

    async def _decide(self, transaction: Transaction, certificate: Certificate, *, asked: bool) -> Renewal:
        revisions = await transaction.revisions.of(certificate.id)
        newest = next((revision for revision in revisions if revision.announced), None)
        approval = await transaction.approvals.get(certificate.approval_id)
        return decide(certificate, newest, approval, now=self._clock(), asked=asked)

    async def _order(self, transaction: Transaction, certificate: Certificate, decision: Renewal) -> Certificate:
        approval = await transaction.approvals.get(certificate.approval_id)
        assert approval is not None, "decide() lets no renewal through without one"
        change = order(
            certificate,
            await transaction.revisions.of(certificate.id),
            approval,
            await transaction.sites.all(),
            decision.reason,
            traceparent=current_traceparent(),
            now=self._clock(),
        )
        return await save_change(transaction, self._outbox, certificate, change)
