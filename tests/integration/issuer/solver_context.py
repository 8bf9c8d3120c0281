"""What solvers are given, with a DNS made of a dictionary."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from certcore.clock import Clock, system_clock
from issuer.domain.challenge import SEEN, ChallengeRecord, Propagation
from issuer.domain.solver import RunningSolver, SiteChallenges, SolverContext, SolverDriver, SolverSettings
from tests.integration.issuer.knot_world import StoredRecords
from tests.integration.issuer.no_sites import NoSites

__all__ = ["Aliases", "a_context", "a_solver"]

SettingsT = TypeVar("SettingsT", bound=SolverSettings)


class Aliases:
    """Follows CNAMEs of a dictionary, and sees everything at once."""

    def __init__(self, aliases: Mapping[str, str] | None = None) -> None:
        self.aliases = dict(aliases or {})

    async def followed(self, name: str, *, views: Sequence[str] = ()) -> str:  # noqa: ARG002
        return self.aliases.get(name, name)

    async def propagated(self, _: Sequence[ChallengeRecord], *, views: Sequence[str] = ()) -> Propagation:  # noqa: ARG002
        return SEEN


def a_context(
    *,
    stored: StoredRecords | None = None,
    dns: Aliases | None = None,
    sites: SiteChallenges | None = None,
    clock: Clock = system_clock,
) -> SolverContext:
    return SolverContext(
        name="tested",
        user_agent="certbus-test",
        records_at=(stored or StoredRecords()).at,
        dns=dns or Aliases(),
        sites=sites or NoSites(),
        clock=clock,
    )


def a_solver(
    driver: SolverDriver[SettingsT], context: SolverContext | None = None, **settings: object
) -> RunningSolver:
    return driver.build(driver.settings.model_validate(settings), context or a_context())
