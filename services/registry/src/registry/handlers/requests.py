"""Requests: taken once, decided once, whether they come over the API or over the bus."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from opentelemetry import trace

from certcore.api import CertificateState
from certcore.certificate import CertificateSpec, approval_hash
from certcore.clock import Clock
from certcore.events import (
    CertificateApproved,
    CertificateDenied,
    CertificateRequested,
    CertificateWaiting,
)
from certcore.identities import HUB
from certcore.rejection import RejectedError, Rejection
from certcore.targets import SERVICE_OF_KIND
from certkit.telemetry import current_traceparent, parent_of
from registry.adapters.outbox import Outbox
from registry.adapters.store import Store, Transaction
from registry.domain import approval as approval_policy
from registry.domain.certificate import Approval, Certificate, Request
from registry.domain.errors import ConflictError, ForbiddenError, NotFoundError
from registry.domain.lifecycle import Trigger, follow
from registry.handlers.orders import issue_order

__all__ = ["Requests", "Submission"]


@dataclass(frozen=True)
class Submission:
    request: Request
    certificate: Certificate


class Requests:
    def __init__(
        self,
        *,
        store: Store,
        outbox: Outbox,
        clock: Clock,
        new_id: Callable[[], str],
        tracer: trace.Tracer,
        issuers: frozenset[str],
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._new_id = new_id
        self._tracer = tracer
        self._issuers = issuers

    async def check(self, transaction: Transaction, spec: CertificateSpec) -> None:
        """Check what only the database knows.

        Raises:
            RejectedError: a place that does not exist, a name that is taken.
        """
        sites = {site.name: site for site in await transaction.sites()}
        found = []
        for number, target in enumerate(spec.targets):
            site = sites.get(target.site)
            if site is None or target.site == HUB:
                known = ", ".join(sorted(sites)) or "none yet"
                found.append(Rejection(field=f"targets.{number}.site", message=f"is no known site (known: {known})"))
            elif SERVICE_OF_KIND[target.kind] not in site.services:
                message = f"can't be delivered at {site.name}: it has no {SERVICE_OF_KIND[target.kind]}"
                found.append(Rejection(field=f"targets.{number}.kind", message=message))
        if spec.issuer is not None and spec.issuer not in self._issuers:
            known = ", ".join(sorted(self._issuers)) or "none configured"
            found.append(Rejection(field="issuer", message=f"is no known issuer (known: {known})"))
        if spec.end_date is not None and spec.end_date <= self._clock():
            found.append(Rejection(field="end_date", message="lies in the past"))
        if await transaction.certificate_named(spec.name) is not None:
            found.append(Rejection(field="name", message="is taken by another certificate"))
        if found:
            raise RejectedError(found)

    async def submit(
        self, transaction: Transaction, spec: CertificateSpec, *, owner: str, requester: str
    ) -> Submission:
        """Store a new intent and let policy decide about it.

        Raises:
            RejectedError: as `check`; nothing is stored.
        """
        await self.check(transaction, spec)
        now = self._clock()
        spec = spec.model_copy(update={"owner": owner})
        spec_hash = approval_hash(spec, owner=owner)
        certificate = Certificate(
            id=self._new_id(),
            owner=owner,
            requester=requester,
            spec=spec,
            spec_hash=spec_hash,
            state=CertificateState.REQUESTED,
            reason="requested",
            state_since=now,
            created_at=now,
            traceparent=current_traceparent(),
        )
        need = approval_policy.need(spec.exposure)
        request = Request(
            id=self._new_id(),
            certificate_id=certificate.id,
            requester=requester,
            owner=owner,
            spec=spec,
            spec_hash=spec_hash,
            state="waiting",
            reason=need.reason,
            created_at=now,
            traceparent=certificate.traceparent,
        )
        await transaction.add_certificate(certificate)
        await transaction.add_request(request)
        await transaction.note(requester, "request", certificate.name, f"request {request.id} for {owner}", now)
        requested = CertificateRequested(
            certificate_id=certificate.id,
            name=certificate.name,
            owner=owner,
            request_id=request.id,
            requester=requester,
            dns_names=spec.dns_names,
            exposure=spec.exposure,
        )
        await self._outbox.announce(transaction, certificate, requested)
        if need.approvers == 0:
            return await self._grant(transaction, request, certificate, approved_by=(), policy=need.policy)
        certificate = certificate.moved(follow(certificate.state, Trigger.APPROVAL_NEEDED), need.reason, now)
        await transaction.save_certificate(certificate)
        waiting = CertificateWaiting(
            certificate_id=certificate.id,
            name=certificate.name,
            owner=owner,
            request_id=request.id,
            reason=need.reason,
        )
        await self._outbox.announce(transaction, certificate, waiting)
        return Submission(request, certificate)

    async def approve(self, request_id: str, *, person: str, comment: str) -> Submission:
        """Give a waiting request its approval.

        Raises:
            NotFoundError: there is no such request.
            ForbiddenError: the person may not decide on this one.
            ConflictError: it was decided before, or its intent changed since.
        """
        async with self._store.transaction() as transaction:
            request, certificate = await self._decidable(transaction, request_id, person)
            if certificate.spec_hash != request.spec_hash:
                raise ConflictError(f"certificate {certificate.name} was changed after this request: ask again")
            with self._tracer.start_as_current_span("request approved", context=parent_of(request.traceparent)):
                policy = approval_policy.need(certificate.spec.exposure).policy
                await transaction.note(person, "approve", certificate.name, comment, self._clock())
                return await self._grant(transaction, request, certificate, approved_by=(person,), policy=policy)

    async def deny(self, request_id: str, *, person: str, reason: str) -> Submission:
        """Refuse a waiting request, for good.

        Raises:
            NotFoundError: there is no such request.
            ForbiddenError: the person may not decide on this one.
            ConflictError: it was decided before.
        """
        async with self._store.transaction() as transaction:
            request, certificate = await self._decidable(transaction, request_id, person)
            now = self._clock()
            reason = f"denied by {person}: {reason}"
            request = replace(request, state="denied", reason=reason, decided_by=person, decided_at=now)
            certificate = certificate.moved(follow(certificate.state, Trigger.DENIED), reason, now)
            await transaction.save_request(request)
            await transaction.save_certificate(certificate)
            await transaction.note(person, "deny", certificate.name, reason, now)
            denied = CertificateDenied(
                certificate_id=certificate.id,
                name=certificate.name,
                owner=certificate.owner,
                request_id=request.id,
                denied_by=person,
                reason=reason,
            )
            await self._outbox.announce(transaction, certificate, denied)
        return Submission(request, certificate)

    async def _decidable(self, transaction: Transaction, request_id: str, person: str) -> tuple[Request, Certificate]:
        request = await transaction.request(request_id)
        certificate = await transaction.certificate(request.certificate_id) if request else None
        if request is None or certificate is None:
            raise NotFoundError(f"there is no request {request_id}")
        match approval_policy.may_decide(request, person=person):
            case approval_policy.Refusal.ALREADY_DECIDED as refusal:
                raise ConflictError(f"{refusal}: it is {request.state}")
            case approval_policy.Refusal.OWN_REQUEST as refusal:
                raise ForbiddenError(str(refusal))
        return request, certificate

    async def _grant(
        self,
        transaction: Transaction,
        request: Request,
        certificate: Certificate,
        *,
        approved_by: tuple[str, ...],
        policy: approval_policy.Policy,
    ) -> Submission:
        now = self._clock()
        reason = f"approved by {', '.join(approved_by)}" if approved_by else f"approved by policy {policy}"
        approval = Approval(
            id=self._new_id(),
            certificate_id=certificate.id,
            request_id=request.id,
            spec_hash=request.spec_hash,
            approved_by=approved_by,
            policy=policy,
            granted_at=now,
        )
        decider = approved_by[0] if approved_by else f"policy {policy}"
        request = replace(request, state="approved", reason=reason, decided_by=decider[:63], decided_at=now)
        certificate = replace(certificate, approval_id=approval.id, ordered=1)
        certificate = certificate.moved(follow(certificate.state, Trigger.APPROVED), reason, now)
        await transaction.add_approval(approval)
        await transaction.save_request(request)
        await transaction.save_certificate(certificate)
        approved = CertificateApproved(
            certificate_id=certificate.id,
            name=certificate.name,
            owner=certificate.owner,
            approved_by=approved_by,
            policy=policy,
            order=await issue_order(transaction, certificate, approval, 1, replaces=None),
        )
        await self._outbox.announce(transaction, certificate, approved)
        return Submission(request, certificate)
