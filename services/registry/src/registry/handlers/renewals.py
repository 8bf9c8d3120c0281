"""Renewals, when due or requested by a person: carried out as the first issue."""

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from opentelemetry import trace

from certcore.audit import Way
from certcore.clock import Clock
from certcore.policy.openings import Calendar
from certcore.policy.windows import Bounds
from certkit.telemetry import current_traceparent
from registry.adapters.outbox import Bell
from registry.adapters.store import RowChangedError, Store, Transaction
from registry.domain.certificate import Approval, Certificate
from registry.domain.errors import ConflictError, NotFoundError
from registry.domain.holding import calendar_for, frozen
from registry.domain.pace import Turn, Waiting, admit, hour_of
from registry.domain.planning import RenewalReason, first_due, minute
from registry.domain.present_cas import with_present_cas
from registry.domain.renewal import Renewal, decide, not_before, order
from registry.domain.rollout import Rollout
from registry.handlers.changes import Changes
from registry.handlers.policies import Policies

__all__ = ["Renewals"]

log = structlog.get_logger()

_ACTOR: Final = "registry"
_BATCH: Final = 50
"""Each renewal is a work of its own; those of a batch are committed together."""
_PUT_OFF: Final = 500
_DAY: Final = timedelta(days=1)
_BOUNDS: Final = Bounds()


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

    def renew_now(
        self, transaction: Transaction, name: str, *, person: str, even_in_freeze: bool = False
    ) -> tuple[Certificate, Renewal]:
        """Order the next revision before it is due; one that is being issued already is answered as such.
        `even_in_freeze`: a freeze of the policy doesn't hold it.

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
        approval, calendar = self._terms(transaction, rollout)
        decision = decide(rollout, approval, calendar, now=self._clock(), asked=True)
        if decision.reason is RenewalReason.IN_PROGRESS:
            return certificate, decision
        if not decision.due:
            why = certificate.unreadable or decision.reason.replace("_", " ")
            raise ConflictError(f"{name} can't be renewed now: {why}")
        freeze = self._check_freeze(rollout, calendar, even_in_freeze=even_in_freeze)
        self._check_pace(transaction, rollout, approval)
        told = f"{decision.reason}, in spite of the {freeze}" if freeze else str(decision.reason)
        transaction.audit.note(person, "renew", name, told, self._clock(), way=Way.TOKEN)
        return self._order(transaction, rollout, approval, decision), decision

    def _check_freeze(self, rollout: Rollout, calendar: Calendar, *, even_in_freeze: bool) -> str | None:
        """The freeze that doesn't hold it."""
        newest, now = first_due(rollout), self._clock()
        freeze = calendar.freeze_at(now) if newest is None else frozen(newest, calendar, now=now)
        if freeze is None or even_in_freeze:
            return str(freeze) if freeze is not None else None
        raise ConflictError(
            f"{rollout.certificate.name} can't be renewed before {minute(freeze.ends)}: {freeze};"
            " an operator can renew it all the same"
        )

    def _check_pace(self, transaction: Transaction, rollout: Rollout, approval: Approval | None) -> None:
        certificate, now = rollout.certificate, self._clock()
        earliest = not_before(first_due(rollout), approval)
        if earliest is not None and now < earliest:
            when = minute(earliest)
            raise ConflictError(f"{certificate.name} can't be renewed by hand before {when}: policy bounds how often")
        transaction.hold(f"by hand {certificate.owner}")
        most = self._bounds(transaction).by_hand_a_day
        lately = transaction.renewals.by_hand(certificate.owner, now - _DAY)
        if len(lately) >= most:
            again = f" before {minute(lately[-most] + _DAY)}" if most else ""
            told = f"policy lets its people renew {most} by hand in a day"
            raise ConflictError(f"team {certificate.owner} can't renew by hand{again}: {told}")

    async def sweep(self) -> None:
        """Order what is due, what ends first first, as many as the policy lets be ordered in an hour; the others get
        an instant of their turn. One that is due and can't be ordered is looked at again when that changes.
        """
        now = self._clock()
        waiting, before, bounds = await self._store.read(partial(self._due, now))
        if not waiting:
            return
        # Of a large backlog it takes long, and holds up who answers requests.
        admitted = await asyncio.to_thread(admit, waiting, before, bounds, now=now)
        ordered = 0
        for first in range(0, len(admitted.now), _BATCH):
            batch = admitted.now[first : first + _BATCH]
            ordered += sum(await asyncio.gather(*map(self._renew_if_due, batch)))
        later = 0
        for first in range(0, len(admitted.later), _PUT_OFF):
            later += await self._store.write(partial(_put_off, now, admitted.later[first : first + _PUT_OFF]))
        if later:
            log.warning("renewals_put_off", ordered=ordered, put_off=later, most_an_hour=bounds.most_an_hour)
        if ordered or later:
            self._bell.ring()

    def _due(self, now: datetime, transaction: Transaction) -> tuple[list[Waiting], dict[str, int], Bounds]:
        if transaction.epochs.present().waiting:
            # What is due by an older copy may be renewed already.
            return [], {}, _BOUNDS
        waiting = transaction.renewals.due(now)
        return waiting, transaction.renewals.ordered(hour_of(now)) if waiting else {}, self._bounds(transaction)

    async def _renew_if_due(self, certificate_id: str) -> bool:
        def work(transaction: Transaction) -> bool:
            rollout = transaction.rollouts.get(certificate_id)
            if rollout is None:
                return False
            approval, calendar = self._terms(transaction, rollout)
            decision = decide(rollout, approval, calendar, now=self._clock(), asked=False)
            if decision.due:
                # Each renewal is a trace of its own: from the decision to the last handshake.
                with self._tracer.start_as_current_span("renewal due"):
                    self._order(transaction, rollout, approval, decision)
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

    def _bounds(self, transaction: Transaction) -> Bounds:
        policy = self._policies.document(transaction)
        return policy.renewals if policy is not None else _BOUNDS

    def _terms(self, transaction: Transaction, rollout: Rollout) -> tuple[Approval | None, Calendar]:
        policy = self._policies.document(transaction)
        approval = transaction.approvals.get(rollout.certificate.approval_id)
        return with_present_cas(approval, rollout.certificate.intent, policy), calendar_for(policy, rollout)

    def _order(
        self, transaction: Transaction, rollout: Rollout, approval: Approval | None, decision: Renewal
    ) -> Certificate:
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
        by_hand = decision.reason is RenewalReason.ASKED
        transaction.renewals.note(rollout.certificate.owner, by_hand=by_hand, now=self._clock())
        return self._changes.save(transaction, rollout, change)


def _put_off(now: datetime, turns: list[Turn], transaction: Transaction) -> int:
    return transaction.renewals.put_off(turns, now)
