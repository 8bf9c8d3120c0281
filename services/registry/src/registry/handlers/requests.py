"""Requests: taken once, decided once, whether they come over the API or over the bus."""

from collections.abc import Callable

from opentelemetry import trace

from certcore.certificate import CertificateSpec
from certcore.clock import Clock
from certcore.rejection import RejectedError
from certkit.telemetry import current_traceparent, parent_of
from registry.adapters.outbox import Outbox
from registry.adapters.store import Store, Transaction
from registry.domain.certificate import Certificate, Request
from registry.domain.decision import Decision, approve, deny
from registry.domain.errors import NotFoundError
from registry.domain.submission import Ids, check, submit

__all__ = ["Requests"]


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

    async def submit(
        self, transaction: Transaction, spec: CertificateSpec, *, owner: str, requester: str
    ) -> Decision:
        """Store a new intent and let policy decide about it.

        Raises:
            RejectedError: a site that does not exist, a name that is taken; nothing is stored.
        """
        now = self._clock()
        sites = await transaction.sites.all()
        is_taken = await transaction.certificates.named(spec.name) is not None
        found = check(spec, sites=sites, issuers=self._issuers, is_taken=is_taken, now=now)
        if found:
            raise RejectedError(found)
        ids = Ids(certificate=self._new_id(), request=self._new_id(), approval=self._new_id())
        traceparent = current_traceparent()
        done = submit(spec, owner=owner, requester=requester, sites=sites, ids=ids, traceparent=traceparent, now=now)
        await transaction.certificates.add(done.certificate)
        await transaction.requests.add(done.request)
        detail = f"request {done.request.id} for {owner}"
        await transaction.audit.note(requester, "request", done.certificate.name, detail, now)
        await self._finish(transaction, done)
        return done

    async def approve(self, request_id: str, *, person: str, comment: str) -> Decision:
        """Give a waiting request its approval.

        Raises:
            NotFoundError: there is no such request.
            ForbiddenError: the person may not decide on this one.
            ConflictError: it was decided before, or its intent changed since.
        """
        async with self._store.transaction() as transaction:
            now = self._clock()
            request, certificate = await _load(transaction, request_id)
            sites = await transaction.sites.all()
            done = approve(request, certificate, sites, person=person, approval_id=self._new_id(), now=now)
            with self._tracer.start_as_current_span("request approved", context=parent_of(request.traceparent)):
                await self._save(transaction, done)
                await transaction.audit.note(person, "approve", certificate.name, comment, now)
        return done

    async def deny(self, request_id: str, *, person: str, reason: str) -> Decision:
        """Refuse a waiting request, for good.

        Raises:
            NotFoundError: there is no such request.
            ForbiddenError: the person may not decide on this one.
            ConflictError: it was decided before.
        """
        async with self._store.transaction() as transaction:
            now = self._clock()
            request, certificate = await _load(transaction, request_id)
            done = deny(request, certificate, person=person, reason=reason, now=now)
            await self._save(transaction, done)
            await transaction.audit.note(person, "deny", certificate.name, done.reason, now)
        return done

    async def _save(self, transaction: Transaction, done: Decision) -> None:
        await transaction.requests.save(done.request)
        await transaction.certificates.save(done.certificate)
        await self._finish(transaction, done)

    async def _finish(self, transaction: Transaction, done: Decision) -> None:
        if done.approval is not None:
            await transaction.approvals.add(done.approval)
        for event in done.announced:
            await self._outbox.announce(transaction, done.certificate, event)


async def _load(transaction: Transaction, request_id: str) -> tuple[Request, Certificate]:
    request = await transaction.requests.get(request_id)
    certificate = await transaction.certificates.get(request.certificate_id) if request else None
    if request is None or certificate is None:
        raise NotFoundError(f"there is no request {request_id}")
    return request, certificate
