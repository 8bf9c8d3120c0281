"""Somebody on the bus, by a bare client."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

import nats
from nats.aio.client import Client

from tests.servers import SecuredBroker

__all__ = ["Person"]


class Person:
    """A connection of one identity, and what the broker refused it."""

    def __init__(self, bus: SecuredBroker, identity: str) -> None:
        self._bus = bus
        self._identity = identity
        self.refused: list[str] = []

    async def __aenter__(self) -> Self:
        self.client: Client = await nats.connect(
            self._bus.url,
            nkeys_seed=str(self._bus.seed_file(self._identity)),
            inbox_prefix=f"_INBOX.{self._identity}".encode(),
            error_cb=self._note,
            allow_reconnect=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.client.close()

    async def _note(self, error: Exception) -> None:
        self.refused.append(str(error).lower())

    async def settle(self) -> None:
        """Wait until the broker has seen all that was sent, and told what it refuses."""
        # The client's ping overtakes what it still holds back; the second one comes after it.
        await self.client.flush()
        await self.client.flush()

    async def may_publish(self, subjects: Iterable[str]) -> set[str]:
        """Those of the subjects that it may publish to."""
        before, subjects = len(self.refused), list(subjects)
        for subject in subjects:
            # No API call takes this body, so that what is allowed changes nothing.
            await self.client.publish(subject, b"no JSON")
        await self.settle()
        refused = self.refused[before:]
        return {subject for subject in subjects if not any(f'"{subject.lower()}"' in text for text in refused)}

    async def may_subscribe(self, subject: str) -> bool:
        before = len(self.refused)
        await self.client.subscribe(subject)
        await self.settle()
        return len(self.refused) == before
