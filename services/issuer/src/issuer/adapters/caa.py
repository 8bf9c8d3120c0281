"""CAA records, as the resolvers of one view have them."""

import asyncio
from collections.abc import Sequence
from typing import Final

import dns.exception
import dns.name

from issuer.adapters.dns_zones import Zones
from issuer.domain.caa import CaaAsker, CaaReason, CaaRecord, CaaVerdict, climbed, judge_caa
from issuer.domain.errors import SolverError

__all__ = ["ResolvedCaa"]

_AT_ONCE: Final = 32


class ResolvedCaa:
    """Is a CaaLookup. Resolvers that don't answer forbid nothing: the CA asks its own."""

    def __init__(self, zones: Zones) -> None:
        self._zones = zones
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def allows(self, names: Sequence[str], asker: CaaAsker) -> CaaVerdict:
        if not asker.identities:
            return CaaVerdict(allowed=True, reason=CaaReason.CA_WITHOUT_IDENTITY)
        # Names of one certificate share parents: each is asked once.
        asked: dict[str, asyncio.Task[Sequence[CaaRecord]]] = {}
        try:
            verdicts = await asyncio.gather(*(self._judged(name, asker, asked) for name in names))
        except SolverError as error:
            return CaaVerdict(allowed=True, reason=CaaReason.NOT_ANSWERED, detail=str(error))
        finally:
            for task in asked.values():
                task.cancel()
            await asyncio.gather(*asked.values(), return_exceptions=True)
        return next((verdict for verdict in verdicts if not verdict.allowed), verdicts[-1])

    async def _judged(
        self, name: str, asker: CaaAsker, asked: dict[str, asyncio.Task[Sequence[CaaRecord]]]
    ) -> CaaVerdict:
        sets: dict[str, Sequence[CaaRecord]] = {}
        for at in climbed(name):
            if at not in asked:
                asked[at] = asyncio.create_task(self._records(at))
            sets[at] = await asked[at]
            if sets[at]:
                break
        return judge_caa(name, sets, asker)

    async def _records(self, name: str) -> Sequence[CaaRecord]:
        try:
            at = dns.name.from_text(name)
        except dns.exception.DNSException as error:
            raise SolverError(f"{name} can't be looked up: {error}") from error
        async with self._free:
            answer = await self._zones.lookup(at, "CAA")
        if answer is None:
            return ()
        return [
            CaaRecord(record.flags, record.tag.decode("ascii", "replace"), record.value.decode("ascii", "replace"))
            for record in answer
        ]
