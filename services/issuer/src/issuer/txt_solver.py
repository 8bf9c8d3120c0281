"""dns-01 at a place that takes one TXT value at a time: what programs and APIs of DNS services have in common."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord, Propagation
from issuer.domain.solver import SolverContext

__all__ = ["TxtPlace", "TxtSolver", "unneeded"]


class TxtPlace(AbstractAsyncContextManager[object], Protocol):
    """Adds and removes one value at a name, and leaves the name's other values. Both may be repeated; both raise
    SolverError.
    """

    async def add(self, name: str, value: str) -> None: ...

    async def remove(self, name: str, value: str) -> None: ...


class TxtSolver:
    """A RunningSolver that writes where CNAMEs lead, `at_once` values at a time."""

    def __init__(self, place: TxtPlace, context: SolverContext, *, views: Sequence[str], at_once: int) -> None:
        self._place = place
        self._context = context
        self._views = views
        self._free = asyncio.Semaphore(at_once)

    async def __aenter__(self) -> Self:
        await self._place.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._place.__aexit__(None, None, None)

    async def present(self, records: Sequence[ChallengeRecord]) -> None:
        await self._each(self._place.add, records)

    async def propagated(self, records: Sequence[ChallengeRecord]) -> Propagation:
        return await self._context.dns.propagated(records, views=self._views)

    async def clean_up(self, records: Sequence[ChallengeRecord]) -> None:
        await self._each(self._place.remove, await unneeded(records, self._context))

    async def _each(self, do: Callable[[str, str], Awaitable[None]], records: Sequence[ChallengeRecord]) -> None:
        async def one(record: ChallengeRecord) -> None:
            async with self._free:
                at = await self._context.dns.followed(record.record_name, views=self._views)
                await do(at, record.record_value)

        # All have ended before an error is told: what is repeated doesn't meet what still goes on.
        done = await asyncio.gather(*map(one, records), return_exceptions=True)
        for result in done:
            if isinstance(result, BaseException):
                raise result


async def unneeded(records: Sequence[ChallengeRecord], context: SolverContext) -> Sequence[ChallengeRecord]:
    """Those whose value no other stored record needs: jobs that share an authorization at the CA share its value."""
    done = {(record.job, record.url) for record in records}
    names = {record.record_name for record in records}
    stored = await asyncio.gather(*(context.records_at(ChallengeKind.DNS_01, name) for name in names))
    needed = {
        (record.record_name, record.record_value)
        for at_name in stored
        for record in at_name
        if (record.job, record.url) not in done
    }
    return [record for record in records if (record.record_name, record.record_value) not in needed]
