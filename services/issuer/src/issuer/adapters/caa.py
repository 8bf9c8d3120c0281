"""CAA records, as the resolvers of one view have them."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import dns.exception
import dns.name

from issuer.adapters.dns_zones import Zones
from issuer.domain.caa import CaaAsker, CaaReason, CaaRecord, CaaVerdict, climbed, judge_caa
from issuer.domain.errors import SolverError

__all__ = ["ResolvedCaa"]

_AT_ONCE: Final = 32
_MOST_KEPT: Final = 10_000
_KEPT_S: Final = 30.0
"""Shorter than the first pause after a refusal: what was mended meanwhile is seen."""


class ResolvedCaa:
    """Is a CaaLookup. Resolvers that don't answer forbid nothing: the CA asks its own."""

    def __init__(self, zones: Zones, *, now: Callable[[], float]) -> None:
        self._zones = zones
        self._now = now
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._kept: dict[str, tuple[float, asyncio.Future[Sequence[CaaRecord]]]] = {}

    async def allows(self, names: Sequence[str], asker: CaaAsker) -> CaaVerdict:
        if not asker.identities:
            return CaaVerdict(allowed=True, reason=CaaReason.CA_WITHOUT_IDENTITY)
        try:
            verdicts = await asyncio.gather(*(self._judged(name, asker) for name in names))
        except SolverError as error:
            return CaaVerdict(allowed=True, reason=CaaReason.NOT_ANSWERED, detail=str(error))
        return next((verdict for verdict in verdicts if not verdict.allowed), verdicts[-1])

    async def _judged(self, name: str, asker: CaaAsker) -> CaaVerdict:
        sets: dict[str, Sequence[CaaRecord]] = {}
        for at in climbed(name):
            sets[at] = await self._records(at)
            if sets[at]:
                break
        return judge_caa(name, sets, asker)

    async def _records(self, name: str) -> Sequence[CaaRecord]:
        """Names share parents: each is asked once, also by those who come at the same time."""
        kept = self._kept.get(name)
        if kept is None or kept[0] < self._now():
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = self._now() + _KEPT_S, asyncio.ensure_future(self._looked_up(name))
            kept[1].add_done_callback(partial(self._forget_failed, name))
            self._kept[name] = kept
        return await asyncio.shield(kept[1])

    def _forget_failed(self, name: str, looked_up: asyncio.Future[Sequence[CaaRecord]]) -> None:
        if looked_up.cancelled() or looked_up.exception() is not None:
            self._kept.pop(name, None)

    async def _looked_up(self, name: str) -> Sequence[CaaRecord]:
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
