"""When each certificate is renewed, planned anew by a policy that changed."""

from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

import structlog

from certcore.clock import Clock
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.domain.certificate import Certificate
from registry.domain.holding import calendar_for
from registry.domain.present_cas import with_present_cas
from registry.domain.renewal import Next, kept_turn, next_renewal
from registry.handlers.policies import Policies

__all__ = ["RenewalPlans"]

log = structlog.get_logger()

_BATCH: Final = 200
"""Of so many the plans are stored in one transaction: others write in between."""
_TOLD: Final = 10_000


class _Plan(NamedTuple):
    certificate: Certificate
    following: Next


class RenewalPlans:
    """What a certificate's own change brings is planned with it; this is for the policy's."""

    def __init__(self, *, store: Store, policies: Policies, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._policies = policies
        self._bell = bell
        self._clock = clock

    async def look(self) -> None:
        """Plan every renewal by the policy that holds, if that wasn't done; begun anew where it was interrupted."""
        sequence = await self._store.read(lambda transaction: transaction.policies.unplanned())
        if sequence is None:
            return
        after, looked, changed = "", 0, 0
        while ids := await self._store.read(partial(_ids, after)):
            plans = await self._store.read(partial(self._changed, ids))
            if plans:
                changed += await self._store.write(partial(self._store_plans, plans))
            looked, after = looked + len(ids), ids[-1]
            if looked % _TOLD < len(ids):
                log.info("renewals_planned", looked_at=looked, changed=changed)
        await self._store.write(lambda transaction: transaction.policies.planned(sequence, self._clock()))
        log.info("renewals_planned", looked_at=looked, changed=changed, done=True)
        if changed:
            self._bell.ring()

    def _changed(self, ids: Sequence[str], transaction: Transaction) -> list[_Plan]:
        now, policy = self._clock(), self._policies.document(transaction)
        rollouts = transaction.rollouts.many(transaction.certificates.unjudged(ids))
        approvals = transaction.approvals.many(rollout.certificate.approval_id for rollout in rollouts)
        found = []
        for rollout in rollouts:
            certificate, calendar = rollout.certificate, calendar_for(policy, rollout)
            approval = with_present_cas(approvals.get(certificate.approval_id), certificate.intent, policy)
            following = next_renewal(rollout, approval, calendar, now=now)
            stored = (certificate.due_at, certificate.renewal_reason, certificate.renew_by)
            if (*kept_turn(certificate, following, now=now), following.by) != stored:
                found.append(_Plan(certificate, following))
        return found

    def _store_plans(self, plans: Sequence[_Plan], transaction: Transaction) -> int:
        """What somebody saved meanwhile is planned already."""
        now = self._clock()
        return sum(
            transaction.renewals.plan(certificate, *kept_turn(certificate, following, now=now), by=following.by)
            for certificate, following in plans
        )


def _ids(after: str, transaction: Transaction) -> list[str]:
    return transaction.certificates.ids(after=after, limit=_BATCH)
