"""dns-01 records in pebble-challtestsrv, through its management API.

That API adds one value at a time, but removes a name with all its values. So a name is cleared only when no
stored record needs it any more: a wildcard and its parent share one, and so do two jobs for the same name.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal, Self

import httpx

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import SEEN, ChallengeRecord, Propagation
from issuer.domain.errors import SolverError
from issuer.domain.solver import RecordsAt, RunningSolver, SolverContext, SolverDriver, SolverSettings

__all__ = ["DRIVER", "ChalltestsrvSettings", "ChalltestsrvSolver"]


class ChalltestsrvSettings(SolverSettings):
    kind: Literal["challtestsrv"] = "challtestsrv"
    url: str


class ChalltestsrvSolver:
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
        done = {(record.job, record.url) for record in records}
        async with self._turn:
            for name in sorted({record.record_name for record in records}):
                stored = await self._records_at(ChallengeKind.DNS_01, name)
                if all((record.job, record.url) in done for record in stored):
                    await self._post("/clear-txt", {"host": f"{name}."})

    async def _post(self, path: str, body: dict[str, str]) -> None:
        try:
            response = await self._client.post(path, json=body)
        except httpx.HTTPError as error:
            raise SolverError(f"challtestsrv: {path}: {type(error).__name__}") from error
        if not response.is_success:
            raise SolverError(f"challtestsrv: {path} answered {response.status_code}")


class ChalltestsrvDriver:
    kind = "challtestsrv"
    settings = ChalltestsrvSettings

    def proves(self, settings: ChalltestsrvSettings) -> ChallengeKind:  # noqa: ARG002 # the protocol's
        return ChallengeKind.DNS_01

    def build(self, settings: ChalltestsrvSettings, context: SolverContext) -> RunningSolver:
        return ChalltestsrvSolver(url=settings.url, records_at=context.records_at)


DRIVER: SolverDriver[ChalltestsrvSettings] = ChalltestsrvDriver()
