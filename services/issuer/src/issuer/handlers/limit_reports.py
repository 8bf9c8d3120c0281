"""Tells the registry what is used of the CAs' limits, for whoever plans there."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Protocol

from certcore.ca_limits.asked import AskedCa
from certcore.ca_limits.report import LimitsReport
from certcore.clock import Clock
from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.ledger import Ledger

__all__ = ["LimitReports", "ToldRegistry"]

_AT_LEAST_EACH: Final = timedelta(minutes=10)


class ToldRegistry(Protocol):
    async def tell_limits(self, report: LimitsReport) -> bool:
        """False where it doesn't ask for it. Raises TransientError and PermanentError."""


class LimitReports:
    def __init__(
        self, *, database: JournalDatabase, cas: Iterable[AskedCa], registry: ToldRegistry, clock: Clock
    ) -> None:
        self._database = database
        self._ledger = Ledger(cas)
        self._registry = registry
        self._clock = clock
        self._told: LimitsReport | None = None

    async def tell(self) -> None:
        """One round: what changed since the last report is told, and all of it from time to time.

        Raises:
            DatabaseBusyError: the journal can't be read now.
            TransientError, PermanentError: the registry didn't take it.
        """
        now: datetime = self._clock()
        # Of a large ledger it takes seconds: not on the event loop.
        report = await self._database.read(lambda connection: self._ledger.used(connection, now))
        last = self._told
        same = last is not None and report.model_copy(update={"made_at": last.made_at}) == last
        if last is not None and same and now - last.made_at < _AT_LEAST_EACH:
            return
        await self._registry.tell_limits(report)
        self._told = report
