"""dns-01 records in pebble-challtestsrv, through its management API.

That API adds one value at a time, but removes a name with all its values. So a name is cleared only when no
stored record needs it any more: a wildcard and its parent share one, and so do two jobs for the same name.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

import httpx

from issuer.domain.challenge import SEEN, ChallengeRecord, Propagation
from issuer.domain.errors import SolverError

__all__ = ["ChalltestsrvDns01"]

RecordsAt = Callable[[str], Awaitable[list[ChallengeRecord]]]
"""All stored records of a name."""


class ChalltestsrvDns01:
    """A ChallengeSolver; use it as an async context manager."""

    def __init__(self, *, url: str, records_at: RecordsAt) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=5.0, trust_env=False)
        self._records_at = records_at
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def present(self, records: Sequence[ChallengeRecord]) -> None:
        async with self._turn:
            for record in records:
                await self._post("/set-txt", {"host": f"{record.record_name}.", "value": record.record_value})

    async def propagated(self, records: Sequence[ChallengeRecord]) -> Propagation:  # noqa: ARG002 # shown at once
        return SEEN

    async def clean_up(self, records: Sequence[ChallengeRecord]) -> None:
        async with self._turn:
            for name in sorted({record.record_name for record in records}):
                if all(stored in records for stored in await self._records_at(name)):
                    await self._post("/clear-txt", {"host": f"{name}."})

    async def _post(self, path: str, body: dict[str, str]) -> None:
        try:
            response = await self._client.post(path, json=body)
        except httpx.HTTPError as error:
            raise SolverError(f"challtestsrv: {path}: {type(error).__name__}") from error
        if not response.is_success:
            raise SolverError(f"challtestsrv: {path} answered {response.status_code}")
