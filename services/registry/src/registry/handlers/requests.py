"""Requests: taken once, decided once, whether they come over the API or over the bus."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

import structlog
from opentelemetry import trace
from pydantic import JsonValue

from certcore.api import RequestState
from certcore.audit import Way
from certcore.certificate import CertificateSpec, stored
from certcore.clock import Clock
from certcore.door import RequestDoor
from certcore.events import RequestKind
from certcore.policy.judgement import Judgement, judge
from certcore.policy.quorum import Approver
from certcore.rejection import RejectedError, Rejection
from certcore.targets import Claim
from certkit.telemetry import current_traceparent, parent_of
from registry.adapters.store import RowChangedError, Store, Transaction
from registry.domain.access import Principal, approves_for, belongs_to, same_person
from registry.domain.approval import Decider, groups_of
from registry.domain.certificate import Certificate, Request
from registry.domain.change import Change
from registry.domain.claim import claims_of, clashes, contested, shared_in_vain
from registry.domain.decision import Decision, approve, deny, expire, extend
from registry.domain.errors import ConflictError, NotFoundError
from registry.domain.repetition import Standing, There, standing_of, why_taken
from registry.domain.rollout import Rollout
from registry.domain.submission import Ids, Known, check, on_terms, submit
from registry.domain.terms import Terms
from registry.handlers.changes import Changes
from registry.handlers.policies import NO_POLICY, Policies

__all__ = ["Requests"]

log = structlog.get_logger()

_BATCH: Final = 100


class Requests:
    def __init__(
        self,
        *,
        store: Store,
        changes: Changes,
        clock: Clock,
        new_id: Callable[[], str],
        tracer: trace.Tracer,
        door: RequestDoor,
        policies: Policies,
    ) -> None:
        self._store = store
        self._changes = changes
        self._clock = clock
        self._new_id = new_id
        self._tracer = tracer
        self._door = door
        self._kinds = door.kinds
        self._policies = policies

    def submit(self, transaction: Transaction, spec: CertificateSpec, *, owner: str, by: Principal) -> Decision:
        """Store an intent and let policy decide about it. What is there already is the answer to the same once more;
        what was denied, or expired, is asked for anew.

        Raises:
            RejectedError: policy doesn't allow it, a site does not exist, a name is taken; nothing is stored.
            WaitsForIssuerError: the registry was restored and doesn't know yet what it lost.
        """
        transaction.hold(*contested(spec))
        transaction.epochs.present().check()
        there = _there(transaction, spec.name)
        standing = standing_of(spec, there, owner=owner)
        if there is not None and standing is Standing.SAME:
            return _known_already(transaction, there.certificate)
        now = self._clock()
        known = Known(
            sites=transaction.sites.all(),
            kinds=self._kinds,
            carried=transaction.services.carried(),
        )
        digest, judged = self._judged(transaction, spec, owner)
        if judged.most is not None:
            transaction.hold(f"team {owner}")
        found = check(spec, known, taken=why_taken(standing, there), now=now)
        told = {_part(rejection) for rejection in found}
        found += [rejection for rejection in judged.refusals if _part(rejection) not in told]
        found += clashes(spec, transaction.claims.held(claims_of(spec)))
        others = transaction.claims.names_held(spec.dns_names, but=owner)
        found += shared_in_vain(spec, others, allowed=judged.shared)
        if judged.most is not None and (held := transaction.certificates.held_by(owner)) >= judged.most:
            message = f"has {held} certificates: policy allows {judged.most} (rule {'+'.join(judged.rules)})"
            found.append(Rejection(field="owner", message=message))
        if found:
            raise RejectedError(found)
        done = submit(
            spec,
            known,
            owner=owner,
            by=by,
            terms=Terms.of(judged, digest),
            pending=judged.pending,
            ids=Ids(certificate=self._new_id(), request=self._new_id(), approval=self._new_id()),
            traceparent=current_traceparent(),
            now=now,
            denied=there.certificate if there is not None else None,
        )
        form = stored(spec.model_copy(update={"owner": owner}))
        store = self._add if there is None else self._add_again
        done = store(transaction, done, form, claims_of(spec))
        detail = f"request {done.request.id} for {owner}"
        transaction.audit.note(
            by.subject, "request", done.certificate.name, detail, now, way=_way(by), roles=by.roles
        )
        return done

    def _add(
        self, transaction: Transaction, done: Decision, form: dict[str, JsonValue], claims: Sequence[Claim]
    ) -> Decision:
        """Store what nobody asked for before, judged as it is."""
        judged = self._changes.judged(transaction, done.rollout, _change(done), granted=done.approval)
        with transaction.together():
            self._changes.add(transaction, done.rollout.with_certificate(judged), _change(done), form)
            transaction.claims.add(judged.id, claims)
            transaction.requests.add(done.request, form)
            if done.approval is not None:
                transaction.approvals.add(done.approval)
            self._changes.tell(transaction, done.certificate, judged, done.announced)
        return done.saved(judged)

    def _add_again(
        self, transaction: Transaction, done: Decision, form: dict[str, JsonValue], claims: Sequence[Claim]
    ) -> Decision:
        """Store what was denied, or expired, and is asked for anew."""
        done = done.saved(transaction.certificates.restate(done.certificate, form))
        transaction.rollouts.replace(done.rollout)
        transaction.claims.add(done.certificate.id, claims)
        transaction.requests.add(done.request, form)
        return self._finish(transaction, done, done.rollout)

    def verdict(self, transaction: Transaction, spec: CertificateSpec, *, owner: str) -> tuple[str, Judgement]:
        """What policy says of a request, and the digest of the policy; nothing else is looked at."""
        return self._judged(transaction, spec, owner)

    def ask_again(self, transaction: Transaction, certificate: Certificate, *, by: Principal) -> Decision:
        """Ask for a new approval of a certificate as it is, before the present one ends; once, while it waits.

        Raises:
            ConflictError: it is not approved at all, or policy would refuse it now.
            WaitsForIssuerError: as `submit`.
        """
        transaction.hold(f"approval of {certificate.name}")
        transaction.epochs.present().check()
        now, rollout = self._clock(), transaction.rollouts.of(certificate)
        newest = transaction.requests.of_certificate(certificate.id)
        if newest is None or certificate.approval_id is None or not certificate.active:
            raise ConflictError(
                f"{certificate.name} has no approval that could be renewed: it is {certificate.state}"
            )
        if newest.state == RequestState.WAITING:
            return Decision(newest, rollout, newest.reason)
        asked = replace(
            newest,
            id=self._new_id(),
            kind=RequestKind.RENEW,
            requester=by.subject,
            by_workload=by.is_workload,
            state=RequestState.WAITING,
            created_at=now,
            traceparent=current_traceparent(),
            decided_by=None,
            decided_at=None,
            version=0,
        )
        form = transaction.requests.form(newest.id)
        digest, judged = self._judged_anew(transaction, asked, form)
        asked = on_terms(asked, Terms.of(judged, digest), judged.pending)
        transaction.requests.add(asked, form)
        transaction.audit.note(
            by.subject, "ask_again", certificate.name, f"request {asked.id}", now, way=_way(by), roles=by.roles
        )
        if asked.terms is not None and asked.terms.needed:
            return Decision(asked, rollout, asked.reason)
        done = extend(asked, rollout, approval_id=self._new_id(), approved_by=(), now=now)
        transaction.requests.save(done.request)
        return self._finish(transaction, done, rollout)

    def approve(self, transaction: Transaction, request_id: str, *, person: Principal, comment: str) -> Decision:
        """Give a waiting request an approval, on the terms of the policy that holds now.

        Raises:
            NotFoundError: there is no such request.
            ForbiddenError: the person may not decide on this one.
            ConflictError: it was decided before, or its intent changed since, or policy would refuse it now.
            WaitsForIssuerError: as `submit`.
        """
        now = self._clock()
        request, rollout = _load(transaction, request_id)
        if request.state == "waiting":
            request = self._on_present_terms(transaction, request)
        given = transaction.votes.given(request_id)
        decider = self._decider(transaction, person, request, given)
        done = approve(
            request,
            rollout,
            transaction.sites.all(),
            person=decider,
            given=given,
            approval_id=self._new_id(),
            now=now,
        )
        transaction.votes.add(request_id, decider.approver, now=now)
        with self._tracer.start_as_current_span("request approved", context=parent_of(request.traceparent)):
            transaction.requests.save(done.request)
            done = self._finish(transaction, done, rollout)
            transaction.audit.note(
                person.subject, "approve", done.certificate.name, comment, now, way=Way.TOKEN, roles=person.roles
            )
        return done

    def deny(self, transaction: Transaction, request_id: str, *, person: Principal, reason: str) -> Decision:
        """Refuse a waiting request. Its requester may ask for the name anew.

        Raises:
            NotFoundError: there is no such request.
            ForbiddenError: the person may not decide on this one.
            ConflictError: it was decided before.
            WaitsForIssuerError: as `submit`.
        """
        request, rollout = _load(transaction, request_id)
        decider = self._decider(transaction, person, request, ())
        done = deny(request, rollout, person=decider, reason=reason, now=self._clock())
        return self._ended(transaction, done, rollout, action="deny", by=person)

    async def expire(self) -> None:
        """End every request that waited too long; a round. What can't be ended stays, and holds up no other."""
        now, after = self._clock(), None
        while True:
            found = await self._store.read(partial(_expired, now, after))
            for _, request_id in found:
                try:
                    await self._store.write(partial(self._expire, request_id, now))
                except (ConflictError, NotFoundError, RowChangedError) as error:
                    log.warning("request_not_expired", request_id=request_id, reason=str(error)[:300])
            if len(found) < _BATCH:
                return
            after = found[-1]

    def _expire(self, request_id: str, now: datetime, transaction: Transaction) -> None:
        request, rollout = _load(transaction, request_id)
        if request.state == "waiting":
            done = expire(request, rollout, now=now)
            self._ended(transaction, done, rollout, action="expire", by=None)

    def _ended(
        self, transaction: Transaction, done: Decision, rollout: Rollout, *, action: str, by: Principal | None
    ) -> Decision:
        transaction.requests.save(done.request)
        if not done.certificate.active:
            transaction.claims.release(done.certificate.id)
        done = self._finish(transaction, done, rollout)
        transaction.audit.note(
            by.subject if by is not None else "policy",
            action,
            done.certificate.name,
            done.reason,
            self._clock(),
            way=_way(by) if by is not None else Way.POLICY,
            roles=by.roles if by is not None else (),
        )
        return done

    def _judged(self, transaction: Transaction, spec: CertificateSpec, owner: str) -> tuple[str, Judgement]:
        present = self._policies.present(transaction)
        if present is None:
            return "", Judgement(refusals=(NO_POLICY,))
        digest, policy = present
        return digest, judge(policy, spec, owner=owner)

    def _on_present_terms(self, transaction: Transaction, request: Request) -> Request:
        """A request that was made under another policy is judged anew: nobody approves what it refuses now."""
        digest = transaction.policies.digest()
        if request.terms is not None and request.terms.policy == digest:
            return request
        digest, judged = self._judged_anew(transaction, request, transaction.requests.form(request.id))
        return replace(request, terms=Terms.of(judged, digest))

    def _judged_anew(
        self, transaction: Transaction, request: Request, form: dict[str, JsonValue]
    ) -> tuple[str, Judgement]:
        try:
            spec = self._door.read(json.dumps(form).encode())
        except RejectedError as error:
            raise ConflictError(f"{request.name} can't be judged by this version: {error}") from None
        digest, judged = self._judged(transaction, spec, request.owner)
        if judged.refusals:
            told = str(RejectedError(list(judged.refusals)))
            raise ConflictError(f"policy changed since, and refuses it now: {told}")
        return digest, judged

    def _decider(
        self, transaction: Transaction, person: Principal, request: Request, given: Sequence[Approver]
    ) -> Decider:
        if not approves_for(person, request.owner):
            raise NotFoundError(f"there is no request {request.id}")
        present = self._policies.present(transaction)
        policy = present[1] if present is not None else None
        asker, decider = map(transaction.tokens.party, (request.requester, person.subject))
        voters = map(transaction.tokens.party, (item.person for item in given))
        return Decider(
            Approver(person.subject, groups_of(policy, person, owner=request.owner)),
            belongs_to(person, request.owner),
            asked=same_person(asker, decider),
            voted=any(same_person(voter, decider) for voter in voters),
        )

    def _finish(self, transaction: Transaction, done: Decision, rollout: Rollout) -> Decision:
        """Save what was decided about the rollout, as it was stored before."""
        if done.approval is not None:
            transaction.approvals.add(done.approval)
        certificate = self._changes.save(transaction, rollout, _change(done))
        return done.saved(certificate)


def _change(done: Decision) -> Change:
    return Change(done.reason, certificate=done.certificate, signing=done.signing, announced=done.announced)


def _there(transaction: Transaction, name: str) -> There | None:
    certificate = transaction.certificates.named(name)
    return There(certificate, transaction.certificates.form(certificate.id)) if certificate is not None else None


def _known_already(transaction: Transaction, certificate: Certificate) -> Decision:
    newest = transaction.requests.of_certificate(certificate.id)
    assert newest is not None, "a certificate and its request are stored together"
    return Decision(newest, transaction.rollouts.of(certificate), newest.reason, is_new=False)


def _expired(
    now: datetime, after: tuple[datetime, str] | None, transaction: Transaction
) -> list[tuple[datetime, str]]:
    # What waits in an older copy may be decided already.
    return (
        []
        if transaction.epochs.present().waiting
        else transaction.requests.expired(now=now, after=after, limit=_BATCH)
    )


def _way(by: Principal) -> Way:
    return Way.BUS if by.subject.startswith("bus-") else Way.TOKEN


def _part(rejection: Rejection) -> str:
    """The field, or the target, that a rejection is about."""
    return ".".join(rejection.field.split(".")[:2])


def _load(transaction: Transaction, request_id: str) -> tuple[Request, Rollout]:
    transaction.epochs.present().check()
    request = transaction.requests.get(request_id)
    rollout = transaction.rollouts.get(request.certificate_id) if request else None
    if request is None or rollout is None:
        raise NotFoundError(f"there is no request {request_id}")
    return request, rollout
