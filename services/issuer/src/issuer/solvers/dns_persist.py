"""dns-persist-01: people set a record once, and it stays. It is told to them, and watched until it is there."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Self

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.challenge import ChallengeRecord, Propagation
from issuer.domain.persistent_record import covering_value
from issuer.domain.solver import (
    AuthoritativeDns,
    DnsSolverSettings,
    RunningSolver,
    SolverContext,
    SolverDriver,
)

__all__ = ["DRIVER", "DnsPersistSettings", "DnsPersistSolver"]


class DnsPersistSettings(DnsSolverSettings):
    kind: Literal["dns-persist"] = "dns-persist"


class DnsPersistSolver:
    def __init__(self, dns: AuthoritativeDns, *, views: Sequence[str]) -> None:
        self._dns = dns
        self._views = views

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def present(self, records: Sequence[ChallengeRecord]) -> None:
        """The DNS owner does it."""

    async def propagated(self, records: Sequence[ChallengeRecord]) -> Propagation:
        needed = _needed(records)
        found = await self._dns.propagated(needed, views=self._views)
        if found.seen:
            return found
        wanted = sorted({f'{record.record_name}. TXT "{record.record_value}"' for record in needed})
        return replace(found, detail=f"the DNS owner must set: {'; '.join(wanted)}. {found.detail}")

    async def clean_up(self, records: Sequence[ChallengeRecord]) -> None:
        """The record stays: it is for the next renewal, too."""


def _needed(records: Sequence[ChallengeRecord]) -> Sequence[ChallengeRecord]:
    """The record for a wildcard proves the name itself as well."""
    shown = {(record.record_name, record.record_value) for record in records}
    return [record for record in records if (record.record_name, covering_value(record.record_value)) not in shown]


class DnsPersistDriver:
    kind = "dns-persist"
    settings = DnsPersistSettings

    def proves(self, settings: DnsPersistSettings) -> ChallengeKind:  # noqa: ARG002 # the protocol's
        return ChallengeKind.DNS_PERSIST_01

    def build(self, settings: DnsPersistSettings, context: SolverContext) -> RunningSolver:
        return DnsPersistSolver(context.dns, views=settings.views)


DRIVER: SolverDriver[DnsPersistSettings] = DnsPersistDriver()
