"""http-01 at sites: their balancers and web servers answer the CA, told by the registry and their syncers."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from datetime import timedelta
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import Field, ValidationError

from certcore.challenges import ChallengeOrder
from certcore.clock import Clock
from certcore.errors import PermanentError, TransientError
from certcore.names import Label
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord, Propagation
from issuer.domain.errors import SolverError
from issuer.domain.site_answers import SiteLack, at_sites, runs_out
from issuer.domain.solver import RunningSolver, SiteChallenges, SolverContext, SolverDriver, SolverSettings

__all__ = ["DRIVER", "SiteSettings", "SiteSolver"]

ResultT = TypeVar("ResultT")

_WITHIN_S: Final = 10.0


class SiteSettings(SolverSettings):
    kind: Literal["site"] = "site"
    sites: Annotated[tuple[Label, ...], Field(min_length=1)] = Field(
        description="Every site that a CA may reach the names at: all of them answer before the CA is asked to look."
    )
    shown_for_s: Annotated[float, Field(ge=600, le=86_400)] = Field(
        default=7200.0, description="So long a site answers where nobody says that it need no more."
    )


class SiteSolver:
    """Sites end an answer by themselves; one that is still waited for is asked for again in time."""

    def __init__(
        self, *, sites: Sequence[str], challenges: SiteChallenges, clock: Clock, shown_for: timedelta
    ) -> None:
        self._sites = tuple(dict.fromkeys(sites))
        self._challenges = challenges
        self._clock = clock
        self._shown_for = shown_for
        self._looks: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def present(self, records: Sequence[ChallengeRecord]) -> None:
        await _all(self._order(site, record) for record in records for site in self._sites)

    async def propagated(self, records: Sequence[ChallengeRecord]) -> Propagation:
        looked = await _all(self._look(site, record) for record in records for site in self._sites)
        lacks = [lack for lack in looked if lack is not None]
        looks = max(self._looks.get(record.url, 0) for record in records)
        for record in records:
            if lacks:
                self._looks[record.url] = looks + 1
            else:
                self._looks.pop(record.url, None)
        return at_sites(lacks, looks=looks)

    async def clean_up(self, records: Sequence[ChallengeRecord]) -> None:
        for record in records:
            self._looks.pop(record.url, None)
        await _all(
            self._challenges.remove_challenge(site, record.record_name) for record in records for site in self._sites
        )

    async def _order(self, site: str, record: ChallengeRecord) -> None:
        try:
            order = ChallengeOrder(
                host=record.identifier,
                key_authorization=record.record_value,
                expires_at=self._clock() + self._shown_for,
            )
        except ValidationError as error:
            faults = ", ".join(str(fault["loc"][0]) for fault in error.errors() if fault["loc"])
            raise SolverError(f"{record.identifier} can't be proven at a site: {faults} can't be used") from None
        await self._challenges.show_challenge(site, record.record_name, order)

    async def _look(self, site: str, record: ChallengeRecord) -> SiteLack | None:
        state = await self._challenges.challenge(site, record.record_name)
        if state is None or runs_out(state, shown_for=self._shown_for, now=self._clock()):
            await self._order(site, record)
        if state is None:
            # A registry that was restored, or a wait that was longer than it is shown.
            return SiteLack(site, "was not told of it, and is told now", record.identifier)
        return None if state.shown else SiteLack(site, state.detail, record.identifier)


async def _all(calls: Iterable[Awaitable[ResultT]]) -> list[ResultT]:
    """Every site is asked, whichever of them the registry refuses.

    Raises:
        SolverError: the registry is away, or refuses one; it says why.
    """
    try:
        async with asyncio.timeout(_WITHIN_S):
            done = await asyncio.gather(*calls, return_exceptions=True)
    except TimeoutError:
        raise SolverError(f"the registry gave no answer in {_WITHIN_S:g} s") from None
    for error in done:
        if isinstance(error, TransientError | PermanentError):
            raise error if isinstance(error, SolverError) else SolverError(str(error)) from error
        if isinstance(error, BaseException):
            raise error
    return [result for result in done if not isinstance(result, BaseException)]


class SiteDriver:
    kind = "site"
    settings = SiteSettings

    def proves(self, settings: SiteSettings) -> ChallengeKind:  # noqa: ARG002 # the protocol's
        return ChallengeKind.HTTP_01

    def build(self, settings: SiteSettings, context: SolverContext) -> RunningSolver:
        return SiteSolver(
            sites=settings.sites,
            challenges=context.sites,
            clock=context.clock,
            shown_for=timedelta(seconds=settings.shown_for_s),
        )


DRIVER: SolverDriver[SiteSettings] = SiteDriver()
