"""Answers to http-01 challenges at sites: ordered by the issuer, told to the site, and removed in time."""

from typing import Final

import structlog

from certcore.challenges import ChallengeAction, ChallengeOrder, ChallengeState
from certcore.clock import Clock
from certcore.events import ChallengeWanted
from certcore.identities import HUB, Service
from registry.adapters.outbox import Bell, Outbox
from registry.adapters.store import Store, Transaction
from registry.domain import challenge as decide
from registry.domain.challenge import Challenge
from registry.domain.errors import NotFoundError
from registry.handlers.levels import LevelPage, page_unless_known

__all__ = ["Challenges"]

log = structlog.get_logger()

_BATCH: Final = 200
_SYNCER: Final = Service.SYNCER


class Challenges:
    def __init__(self, *, store: Store, outbox: Outbox, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._outbox = outbox
        self._bell = bell
        self._clock = clock

    async def show(self, site: str, token: str, order: ChallengeOrder) -> None:
        """Have a site show an answer. The same again is told again as long as it isn't shown.

        Raises:
            NotFoundError: there is no such site, or it has no syncer.
            ConflictError: its syncer is too old, or the token stands for another answer there.
            TooManyError: it shows too many.
            RejectedError: the order ends too soon or too late.
        """

        def work(transaction: Transaction) -> bool:
            _check_site(transaction, site)
            decide.check_reads_challenges(transaction.services.get(site, _SYNCER), site)
            before = transaction.challenges.get(site, token)
            slot = before.slot if before else decide.free_slot(transaction.challenges.slots(site), site)
            after = decide.ask(before, order, site=site, token=token, slot=slot, now=self._clock())
            if after == before and after.shown_at is not None:
                return False
            transaction.challenges.save(after)
            self._outbox.challenge(transaction, after)
            return True

        if await self._store.write(work):
            log.info("challenge_wanted", site=site, host=order.host)
            self._bell.ring()

    async def state(self, site: str, token: str) -> ChallengeState:
        """What the site said of it.

        Raises:
            NotFoundError: it isn't wanted there.
        """

        def work(transaction: Transaction) -> ChallengeState | None:
            found = transaction.challenges.get(site, token)
            if found is None or found.action is not ChallengeAction.SHOW:
                return None
            return decide.state_of(found, transaction.services.get(site, _SYNCER), now=self._clock())

        found = await self._store.read(work)
        if found is None:
            raise NotFoundError(f"no such challenge is wanted at {site}")
        return found

    async def remove(self, site: str, token: str) -> None:
        """Have a site show it no more.

        Raises:
            NotFoundError: it isn't wanted there.
        """

        def work(transaction: Transaction) -> None:
            found = transaction.challenges.get(site, token)
            if found is None or found.action is not ChallengeAction.SHOW:
                raise NotFoundError(f"no such challenge is wanted at {site}")
            self._remove(transaction, found)

        await self._store.write(work)
        self._bell.ring()

    def page(
        self, transaction: Transaction, site: str, *, after: str, limit: int, known: frozenset[str]
    ) -> LevelPage[ChallengeWanted]:
        """What a site should show or remove, by token, those after one."""
        found = transaction.challenges.page(site, after=after, limit=limit)
        facts = [(item.token, item.host, item.key_authorization, item.expires_at, item.action) for item in found]
        further = found[-1].token if len(found) == limit else None
        return page_unless_known(facts, lambda: [decide.wanted(item) for item in found], further=further, known=known)

    async def sweep(self) -> None:
        """One round: what is over by time is to be removed at its site, and is forgotten where that says nothing."""
        now = self._clock()
        if not await self._store.read(lambda transaction: transaction.challenges.over(now)):
            return

        def work(transaction: Transaction) -> int:
            transaction.challenges.drop_ended(now - decide.REMEMBERED)
            ended = transaction.challenges.ended(now, limit=_BATCH)
            for item in ended:
                self._remove(transaction, item)
            return len(ended)

        while (removed := await self._store.write(work)) > 0:
            log.info("challenges_ended", removed=removed)
            self._bell.ring()

    def _remove(self, transaction: Transaction, item: Challenge) -> None:
        after = decide.removed(item)
        transaction.challenges.save(after)
        self._outbox.challenge(transaction, after)


def _check_site(transaction: Transaction, name: str) -> None:
    site = next((site for site in transaction.sites.all() if site.name == name), None)
    if site is None or name == HUB:
        raise NotFoundError(f"there is no site {name}")
    if _SYNCER not in site.services:
        raise NotFoundError(f"{name} has no syncer that could show a challenge: enrol one")
