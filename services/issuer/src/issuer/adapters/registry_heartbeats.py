"""The way of the escrow's heartbeats: it isn't on the bus."""

from certcore.events import Event
from certkit.registry_client import RegistryClient

__all__ = ["RegistryHeartbeats"]


class RegistryHeartbeats:
    """A publisher of `certkit.heartbeat`."""

    def __init__(self, registry: RegistryClient) -> None:
        self._registry = registry

    async def publish(self, event: Event, *, about: str) -> None:  # noqa: ARG002 # the registry knows who calls
        await self._registry.beat(event)
