"""Requests: taken once, decided once, whether they come over the API or over the bus."""

from collections.abc import Callable

from opentelemetry import trace

from certcore.certificate import CertificateSpec, stored
from certcore.clock import Clock
from certcore.rejection import RejectedError
from certcore.targets import TargetKinds
from certkit.telemetry import current_traceparent, parent_of
from registry.adapters.store import Store, Transaction
from registry.domain.certificate import Request
from registry.domain.change import Change
from registry.domain.decision import Decision, approve, deny
from registry.domain.errors import NotFoundError
from registry.domain.rollout import Rollout
from registry.domain.submission import Ids, Known, check, submit
from registry.handlers.changes import Changes, again_if_changed

__all__ = ["Requests"]


class Requests:
    def __init__(
        self,
        *,
        store: Store,
        changes: Changes,
        clock: Clock,
        new_id: Callable[[], str],
        tracer: trace.Tracer,
        issuers: frozenset[str],
        kinds: TargetKinds,
    ) -> None:
        self._store = store
        self._changes = changes
        self._clock = clock
        self._new_id = new_id
        self._tracer = tracer
        self._issuers = issuers
        self._kinds = kinds

    def submit(self, transaction: Transaction, spec: CertificateSpec, *, owner: str, requester: str) -> Decision:
        """Store a new intent and let policy decide about it.

        Raises:
            RejectedError: a site that does not exist, a name that is taken; nothing is stored.
            WaitsForIssuerError: the registry was restored and doesn't know yet what it lost.
        """
        transaction.epochs.present().check()
        now = self._clock()
        known = Known(
            sites=transaction.sites.all(),
            kinds=self._kinds,
            carried=transaction.services.carried(),
            issuers=self._issuers,
        )
        is_taken = transaction.certificates.named(spec.name) is not None
        found = check(spec, known, is_taken=is_taken, now=now)
        if found:
            raise RejectedError(found)
        ids = Ids(certificate=self._new_id(), request=self._new_id(), approval=self._new_id())
        traceparent = current_traceparent()
        done = submit(spec, known, owner=owner, requester=requester, ids=ids, traceparent=traceparent, now=now)
        form = stored(spec.model_copy(update={"owner": owner}))
        transaction.certificates.add(done.certificate, form)
        transaction.rollouts.add(done.rollout)
        transaction.requests.add(done.request, form)
        detail = f"request {done.request.id} for {owner}"
        transaction.audit.note(requester, "request", done.certificate.name, detail, now)
        return self._finish(transaction, done)

    async def approve(self, request_id: str, *, person: str, comment: str) -> Decision:
        """Give a waiting request its approval.

        Raises:
            NotFoundError: there is no such request.
            ForbiddenError: the person may not decide on this one.
            ConflictError: it was decided before, or its intent changed since.
            WaitsForIssuerError: as `submit`.
        """

        def work(transaction: Transaction) -> Decision:
            now = self._clock()
            request, rollout = _load(transaction, request_id)
            sites = transaction.sites.all()
            done = approve(request, rollout, sites, person=person, approval_id=self._new_id(), now=now)
            with self._tracer.start_as_current_span("request approved", context=parent_of(request.traceparent)):
                transaction.requests.save(done.request)
                done = self._finish(transaction, done)
                transaction.audit.note(person, "approve", done.certificate.name, comment, now)
            return done

        return await again_if_changed(self._store, work)

    async def deny(self, request_id: str, *, person: str, reason: str) -> Decision:
        """Refuse a waiting request, for good.

        Raises:
            NotFoundError: there is no such request.
            ForbiddenError: the person may not decide on this one.
            ConflictError: it was decided before.
            WaitsForIssuerError: as `submit`.
        """

        def work(transaction: Transaction) -> Decision:
            now = self._clock()
            request, rollout = _load(transaction, request_id)
            done = deny(request, rollout, person=person, reason=reason, now=now)
            transaction.requests.save(done.request)
            done = self._finish(transaction, done)
            transaction.audit.note(person, "deny", done.certificate.name, done.reason, now)
            return done

        return await again_if_changed(self._store, work)

    def _finish(self, transaction: Transaction, done: Decision) -> Decision:
        if done.approval is not None:
            transaction.approvals.add(done.approval)
        change = Change(done.reason, certificate=done.certificate, signing=done.signing, announced=done.announced)
        certificate = self._changes.save(transaction, done.rollout, change)
        return done.saved(certificate)


def _load(transaction: Transaction, request_id: str) -> tuple[Request, Rollout]:
    transaction.epochs.present().check()
    request = transaction.requests.get(request_id)
    rollout = transaction.rollouts.get(request.certificate_id) if request else None
    if request is None or rollout is None:
        raise NotFoundError(f"there is no request {request_id}")
    return request, rollout
