"""One look at an endpoint: its host is resolved, and each address gets a handshake."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from certcore.certificate import endpoint_address
from certcore.events import EndpointExpected
from certprobe.handshake import Handshake, HandshakeError, Prober
from monitor.domain.resolver import ResolutionError, Resolver
from monitor.domain.verdict import Look, judge, summarize, unresolved

__all__ = ["Handshakes", "Shake", "Sight"]

_AT_ONCE: Final = 64


@dataclass(frozen=True)
class Shake:
    """A handshake at one address or its failure; `began` and `ended` are nanoseconds since 1970."""

    address: str
    began: int
    ended: int
    found: Handshake | HandshakeError


@dataclass(frozen=True)
class Sight:
    """What one look met: a handshake or its failure at each address, or why there is no address."""

    host: str
    shakes: tuple[Shake, ...] = ()
    no_address: str | None = None

    def judged(self, expected: EndpointExpected, *, now: datetime, trust: bool) -> Look:
        if self.no_address is not None:
            return unresolved(self.no_address)
        return summarize(
            [
                judge(shake.address, shake.found, host=self.host, expected=expected, now=now, trust=trust)
                for shake in self.shakes
            ]
        )

    def earliest_expiry(self) -> datetime | None:
        seen = [shake.found.leaf.not_after for shake in self.shakes if isinstance(shake.found, Handshake)]
        return min(seen, default=None)


class Handshakes:
    """Not more than 64 name lookups and handshakes run at once; the others wait."""

    def __init__(self, *, resolver: Resolver, prober: Prober) -> None:
        self._resolver = resolver
        self._prober = prober
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def at(self, url: str) -> Sight:
        """Look at every address of the URL's host.

        Raises:
            TrustRootsError: the trust roots can't be read.
        """
        try:
            host, port = endpoint_address(url)
        except ValueError:
            host, port = "", 0
        if not host:
            return Sight(host, no_address="the URL names no host and port")
        try:
            async with self._slots:
                addresses = await self._resolver.addresses(host)
        except ResolutionError as error:
            return Sight(host, no_address=str(error))
        return Sight(host, tuple(await asyncio.gather(*(self._shake(address, port, host) for address in addresses))))

    async def _shake(self, address: str, port: int, host: str) -> Shake:
        async with self._slots:
            began = time.time_ns()
            found: Handshake | HandshakeError
            try:
                found = await self._prober.shake(address, port, server_name=host)
            except HandshakeError as error:
                found = error
            return Shake(address, began, time.time_ns(), found)
