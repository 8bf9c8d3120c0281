"""The bus as the registry's watch sees it: whether it answers, and what was set aside on it."""

from collections.abc import Sequence
from typing import Final

from faststream.nats import NatsBroker

from certkit.kept_letters import kept_letters
from registry.domain.alarm import Letters

__all__ = ["BusWatch"]

_PING_S: Final = 1.0


class BusWatch:
    """A `registry.handlers.watch.Bus`."""

    def __init__(self, broker: NatsBroker) -> None:
        self._broker = broker

    async def answers(self) -> bool:
        return await self._broker.ping(timeout=_PING_S)

    async def connections(self) -> int:
        return int((await self._broker.connect()).stats["reconnects"])

    async def dead_letters(self) -> Sequence[Letters]:
        return [Letters(item.place, item.durables, item.newest) for item in await kept_letters(self._broker)]
