"""The proof: fresh handshakes at every listener show what was pushed.

HAProxy's "Success!" is none: without a lock, 721 of 3,982 successes left another's certificate live.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from cdn_pusher.domain.errors import DeliveryError
from cdn_pusher.domain.probe_names import ProbeAddress, probe_names
from certcore.events import DeliveryReason
from certprobe.handshake import HandshakeError, Prober

__all__ = ["Listeners"]

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5


class Listeners:
    """The TLS listeners of one HAProxy."""

    def __init__(self, addresses: Sequence[ProbeAddress], *, prober: Prober, patience_s: float) -> None:
        """`patience_s` is how long a listener may go on serving the old one, as it does during a reload."""
        self._addresses = tuple(addresses)
        self._prober = prober
        self._patience_s = patience_s

    async def prove(self, dns_names: Sequence[str], presented: Sequence[str]) -> None:
        """Check that every listener presents these certificates (SHA-256, leaf first) for the names.

        Raises:
            DeliveryError: one of them doesn't (`not_served`).
        """
        deadline = time.monotonic() + self._patience_s
        for address in self._addresses:
            for name in probe_names(dns_names):
                await self._prove_one(address, name, tuple(presented), deadline)

    async def _prove_one(self, address: ProbeAddress, name: str, presented: tuple[str, ...], deadline: float) -> None:
        pause = _FIRST_PAUSE_S
        while (fault := await self._fault(address, name, presented)) is not None:
            if time.monotonic() >= deadline:
                raise DeliveryError(DeliveryReason.NOT_SERVED, f"{address} for {name}: {fault}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _fault(self, address: ProbeAddress, name: str, presented: tuple[str, ...]) -> str | None:
        try:
            seen = await self._prober.shake(address.host, address.port, server_name=name)
        except HandshakeError as error:
            return str(error)
        if seen.presented[: len(presented)] == presented:
            return None
        if seen.presented[:1] == presented[:1]:
            return "the leaf is served without its chain"
        return f"serves the certificate with serial {seen.leaf.serial}"
