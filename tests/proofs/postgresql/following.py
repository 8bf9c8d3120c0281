"""Somebody who follows the events of registries that are killed, as a client should: on, after the last one told."""

import asyncio
import itertools

import httpx

from tests.registry_pair import RegistryPair

__all__ = ["Follower"]


class Follower:
    """`ids` are what it was told, in that order."""

    def __init__(self, pair: RegistryPair, headers: dict[str, str], *, first: int) -> None:
        self.ids: list[str] = []
        self.lost = 0
        self._pair = pair
        self._headers = headers
        self._places = itertools.cycle([first, *(place for place in range(len(pair.processes)) if place != first)])

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(timeout=httpx.Timeout(10.0, read=30.0), trust_env=False) as http:
            while True:
                try:
                    await self._follow(http, self._pair.processes[next(self._places)].url)
                except httpx.TransportError:
                    self.lost += 1
                    await asyncio.sleep(0.1)

    async def _follow(self, http: httpx.AsyncClient, url: str) -> None:
        last = {"last-event-id": self.ids[-1]} if self.ids else {}
        async with http.stream("GET", f"{url}/v1/events", headers={**self._headers, **last}) as response:
            if response.status_code != 200:
                await asyncio.sleep(0.1)
                return
            fields: dict[str, str] = {}
            async for line in response.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                if "data" in fields:
                    self.ids.append(fields["id"])
                fields = {}
