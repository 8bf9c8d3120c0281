"""What a kind of solver is. It is found by an entry point, and built once for each name in the configuration."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from certcore.challenges import ChallengeOrder, ChallengeState
from certcore.clock import Clock
from certcore.name_patterns import NamePattern
from certcore.names import Label
from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord, ChallengeSolver, Propagation

__all__ = [
    "AnySolverDriver",
    "AuthoritativeDns",
    "DnsSolverSettings",
    "RecordsAt",
    "RunningSolver",
    "SiteChallenges",
    "SolverContext",
    "SolverDriver",
    "SolverSettings",
]

RecordsAt = Callable[[ChallengeKind, str], Awaitable[Sequence[ChallengeRecord]]]
"""All stored records of a kind and a record name, of every job and process."""


class SolverSettings(BaseModel):
    """What every kind has; a kind adds its own fields, and a `kind` that is a Literal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    match: tuple[NamePattern, ...] = Field(
        default=(),
        description="Names that it proves: `example.org` is that name alone, `*.example.org` all below it. Without "
        "any it proves what no other solver matches.",
    )


class DnsSolverSettings(SolverSettings):
    views: tuple[Label, ...] = Field(
        default=(),
        description="Views of `dns` in which its records must be seen before a CA is asked to look; by default all.",
    )


class AuthoritativeDns(Protocol):
    """What the authoritative servers of a zone say, in each of the named views; in all views where none is named."""

    async def followed(self, name: str, *, views: Sequence[str] = ()) -> str:
        """Where the name's CNAMEs lead: the name itself where it has none.

        Raises:
            SolverError: they go in a circle, or no server of a zone answers.
        """
        ...

    async def propagated(self, records: Sequence[ChallengeRecord], *, views: Sequence[str] = ()) -> Propagation:
        """Whether every authoritative server shows every record. It is seen only when all of them say so."""
        ...


class SiteChallenges(Protocol):
    """What sites answer to CAs, as `certkit.registry_client.RegistryClient` has it. Each call raises TransientError
    where the registry is away or takes no more now, PermanentError where it refuses.
    """

    async def show_challenge(self, site: str, token: str, order: ChallengeOrder) -> None:
        """Have a site answer; the same order again is no error."""
        ...

    async def challenge(self, site: str, token: str) -> ChallengeState | None:
        """What a site said of it; None where it isn't wanted there."""
        ...

    async def remove_challenge(self, site: str, token: str) -> None:
        """Have a site answer no more; what isn't wanted there is no error."""
        ...


@dataclass(frozen=True)
class SolverContext:
    """What a solver is given. `name` is its name in the configuration."""

    name: str
    user_agent: str
    records_at: RecordsAt
    dns: AuthoritativeDns
    sites: SiteChallenges
    clock: Clock


class RunningSolver(ChallengeSolver, AbstractAsyncContextManager[object], Protocol):
    """A solver that runs while its context is entered."""


SettingsT = TypeVar("SettingsT", bound=SolverSettings)


class SolverDriver(Protocol[SettingsT]):
    kind: str
    settings: type[SettingsT]

    def proves(self, settings: SettingsT) -> ChallengeKind: ...

    def build(self, settings: SettingsT, context: SolverContext) -> RunningSolver: ...


AnySolverDriver = SolverDriver[Any]
