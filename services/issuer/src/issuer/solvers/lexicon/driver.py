import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Self

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.errors import SolverError
from issuer.domain.solver import RunningSolver, SolverContext, SolverDriver
from issuer.solvers.lexicon.calls import Calls
from issuer.solvers.lexicon.providers import change, say_nothing
from issuer.solvers.lexicon.settings import LexiconSettings
from issuer.txt_solver import TxtSolver

__all__ = ["DRIVER", "LexiconPlace"]


class LexiconPlace:
    """One change of a zone at a time: many providers read all values of a name, and write them back."""

    def __init__(self, settings: LexiconSettings) -> None:
        self._settings = settings
        self._calls = Calls(timeout_s=settings.timeout_s)

    async def __aenter__(self) -> Self:
        say_nothing()
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def add(self, name: str, value: str) -> None:
        await self._change("add", name, value)

    async def remove(self, name: str, value: str) -> None:
        await self._change("remove", name, value)

    async def _change(self, action: str, name: str, value: str) -> None:
        settings = self._settings
        zone = _zone_of(name, settings)
        options = await asyncio.to_thread(self._options)
        call = partial(
            change,
            *(action, name, value),
            provider=settings.provider,
            zone=zone,
            ttl=settings.ttl,
            options=options,
        )
        try:
            await self._calls.run(zone, call)
        except SolverError as error:
            raise SolverError(f"{settings.provider}: {action} of {name} in {zone}: {error}") from None

    def _options(self) -> Mapping[str, str]:
        """With the secrets as they are now: a file may be replaced at any time."""
        read = dict(self._settings.options)
        for option, file in self._settings.option_files.items():
            try:
                read[option] = file.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SolverError(f"option_files.{option}: {file} can't be read: {type(error).__name__}") from None
        return read


def _zone_of(name: str, settings: LexiconSettings) -> str:
    holding = [zone for zone in settings.zones if name == zone or name.endswith(f".{zone}")]
    if not holding:
        raise SolverError(f"{name} is in none of the zones {', '.join(settings.zones)}: add its zone to the solver")
    return max(holding, key=len)


class LexiconDriver:
    kind = "lexicon"
    settings = LexiconSettings

    def proves(self, settings: LexiconSettings) -> ChallengeKind:  # noqa: ARG002 # the protocol's
        return ChallengeKind.DNS_01

    def build(self, settings: LexiconSettings, context: SolverContext) -> RunningSolver:
        return TxtSolver(LexiconPlace(settings), context, views=settings.views, at_once=settings.at_once)


DRIVER: SolverDriver[LexiconSettings] = LexiconDriver()
