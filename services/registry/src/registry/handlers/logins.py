"""What is kept of logins: when tokens were used last, and which logins failed, which are slowed as well."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from certcore.audit import Way
from certcore.clock import Clock
from certcore.errors import TransientError
from certkit import metric_names
from certkit.metric_names import counter
from registry.adapters.store import Store, Transaction
from registry.domain.attempts import Attempts, Noted, delay_after, place_of
from registry.domain.errors import TooManyError
from registry.domain.token import Token, worth_noting

__all__ = ["Logins"]

log = structlog.get_logger()

_MOST_WAITING: Final = 64
"""Answers that wait at once; each holds a connection."""
_PATIENCE_S: Final = 5.0
_MOST_REMEMBERED: Final = 500


class Logins:
    """A valid token is never slowed, whoever else calls from its address: only failures wait for their answer."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        metrics: CollectorRegistry,
        longest_delay_s: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._clock = clock
        self._longest_s = longest_delay_s
        self._sleep = sleep
        self._failures = counter(metric_names.FAILED_LOGINS, metrics)
        self._attempts = Attempts()
        self._waiting = 0
        self._failed: list[Noted] = []
        self._used: dict[str, datetime] = {}

    def succeeded(self, sha256: str, token: Token, now: datetime) -> None:
        """Remember its use, where that is to be stored."""
        if worth_noting(token, now):
            self._used[sha256] = now

    async def failed(self, address: str | None, reason: str) -> None:
        """Count a failed login, and return when it may be answered.

        Raises:
            TooManyError: so many wait that this one is answered at once.
        """
        self._failures.labels(reason).inc()
        failures = self._attempts.failed(place_of(address), reason, self._clock())
        delay = delay_after(failures, longest_s=self._longest_s)
        if delay <= 0:
            return
        if self._waiting >= _MOST_WAITING:
            raise TooManyError("too many logins fail", retry_after=timedelta(seconds=delay))
        self._waiting += 1
        try:
            await self._sleep(delay)
        finally:
            self._waiting -= 1

    async def keep(self) -> None:
        """Store what came since the last time, with other writes; what failed is one row a place."""
        await self._keep(patience_s=_PATIENCE_S)

    async def keep_at_the_end(self) -> None:
        """The last time before a stop. What can't be stored keeps nothing from ending."""
        try:
            await self._keep(patience_s=0.0)
        except TransientError as error:
            log.warning("logins_not_kept", error=str(error))

    async def _keep(self, *, patience_s: float) -> None:
        now = self._clock()
        used, self._used = self._used, {}
        # What could not be stored is tried again, but for what is too much to remember.
        self._failed = failed = [*self._failed, *self._attempts.take(now)][-_MOST_REMEMBERED:]
        if not used and not failed:
            return

        def work(transaction: Transaction) -> None:
            transaction.tokens.used(used)
            for noted in failed:
                transaction.audit.note("nobody", "failed login", noted.place, noted.detail, now, way=Way.TOKEN)

        await self._store.write(work, patience_s=patience_s)
        self._failed = []
