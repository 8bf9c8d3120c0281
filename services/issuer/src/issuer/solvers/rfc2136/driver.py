"""dns-01 by dynamic updates (RFC 2136), at the end of the name's CNAMEs."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Self

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord, Propagation
from issuer.domain.errors import SolverError
from issuer.domain.server_address import server_address
from issuer.domain.solver import RunningSolver, SolverContext, SolverDriver
from issuer.solvers.rfc2136.gathering import Change, Gathering
from issuer.solvers.rfc2136.server import UpdateServer, tsig_key
from issuer.solvers.rfc2136.settings import Rfc2136Settings
from issuer.txt_solver import unneeded

__all__ = ["DRIVER", "Rfc2136Solver"]

_WINDOW_S: Final = 0.025
_MOST_CHANGES: Final = 150
"""Each takes 310 bytes at most; a message over TCP has 65535."""
_ZONES_ASKED_AT_ONCE: Final = 16
_MOST_KEPT: Final = 10_000


class Rfc2136Solver:
    def __init__(self, settings: Rfc2136Settings, context: SolverContext) -> None:
        self._settings = settings
        self._context = context
        self._asking = asyncio.Semaphore(_ZONES_ASKED_AT_ONCE)
        self._zones: dict[str, str] = {}
        self._server: UpdateServer | None = None
        self._gathering: Gathering | None = None

    async def __aenter__(self) -> Self:
        """Read the key.

        Raises:
            SolverError: its file can't be used.
        """
        settings = self._settings
        self._server = UpdateServer(
            address=server_address(settings.server),
            key=tsig_key(name=settings.key_name, file=settings.key_file, algorithm=settings.algorithm),
            ttl=settings.ttl,
            timeout_s=settings.timeout_s,
        )
        self._gathering = Gathering(self._server.update, window_s=_WINDOW_S, most=_MOST_CHANGES)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._gathering is not None:
            await self._gathering.end()

    async def present(self, records: Sequence[ChallengeRecord]) -> None:
        await self._change(records, add=True)

    async def propagated(self, records: Sequence[ChallengeRecord]) -> Propagation:
        return await self._context.dns.propagated(records, views=self._settings.views)

    async def clean_up(self, records: Sequence[ChallengeRecord]) -> None:
        await self._change(await unneeded(records, self._context), add=False)

    async def _change(self, records: Sequence[ChallengeRecord], *, add: bool) -> None:
        if self._gathering is None:
            raise SolverError("the solver is not running")
        with self._gathering.announced():
            places = await self._places(sorted({record.record_name for record in records}))
            by_zone: dict[str, list[Change]] = {}
            for record in records:
                zone, name = places[record.record_name]
                by_zone.setdefault(zone, []).append(Change(name, record.record_value, add))
            sent = [done for zone, changes in by_zone.items() for done in self._gathering.add(zone, changes)]
        for result in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _places(self, names: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        """For each record's name its zone at the server, and the name to write to there."""
        found = await asyncio.gather(*map(self._place, names), return_exceptions=True)
        for result in found:
            if isinstance(result, BaseException):
                raise result
        return {name: place for name, place in zip(names, found, strict=True) if not isinstance(place, BaseException)}

    async def _place(self, name: str) -> tuple[str, str]:
        at = await self._context.dns.followed(name, views=self._settings.views)
        return await self._zone(at), at

    async def _zone(self, name: str) -> str:
        if self._settings.zone is not None:
            return self._settings.zone
        if self._server is None:
            raise SolverError("the solver is not running")
        if name not in self._zones:
            async with self._asking:
                zone = await self._server.zone_of(name)
            if len(self._zones) >= _MOST_KEPT:
                self._zones.clear()
            self._zones[name] = zone
        return self._zones[name]


class Rfc2136Driver:
    kind = "rfc2136"
    settings = Rfc2136Settings

    def proves(self, settings: Rfc2136Settings) -> ChallengeKind:  # noqa: ARG002 # the protocol's
        return ChallengeKind.DNS_01

    def build(self, settings: Rfc2136Settings, context: SolverContext) -> RunningSolver:
        return Rfc2136Solver(settings, context)


DRIVER: SolverDriver[Rfc2136Settings] = Rfc2136Driver()
