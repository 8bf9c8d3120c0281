"""Reads what the registry has ordered and not got, whatever was or wasn't announced; and tells a registry that was
restored from a copy what there is.
"""

from typing import Final

import structlog

from certcore.api import IssuedReport
from certcore.clock import Clock
from certkit.registry_client import IssueLevel, RegistryClient
from issuer.adapters.kept_bundles import KeptBundles
from issuer.domain.issued import issued_revisions
from issuer.domain.job import JobId
from issuer.handlers.issue_orders import IssueOrders

__all__ = ["OrderList"]

log = structlog.get_logger()

_PART: Final = 500


class OrderList:
    def __init__(self, *, registry: RegistryClient, orders: IssueOrders, kept: KeptBundles, clock: Clock) -> None:
        self._registry = registry
        self._orders = orders
        self._kept = kept
        self._clock = clock
        self._level: IssueLevel | None = None

    async def read(self) -> None:
        """One round. What is in the journal is worked on whether or not the registry answers.

        Raises:
            TransientError: the registry doesn't answer, or the journal is away.
            PermanentError: the registry's answer can't be read.
        """
        level = await self._registry.orders()
        if level.epoch != await self._kept.reported_epoch():
            await self._report(level.epoch)
            # Until the report was complete, the list was empty.
            level = await self._registry.orders()
        await self._take(level)

    def registry(self) -> IssueLevel | None:
        """What was last read; None where nothing was yet."""
        return self._level

    def not_ready(self) -> str | None:
        return None if self._level is not None else "the issue orders were not read from the registry yet"

    async def _take(self, level: IssueLevel) -> None:
        await self._orders.listed(level.items, first=self._level is None)
        self._level = level

    async def _report(self, epoch: int) -> None:
        """Report all that is valid, and make sure of what the registry wants; only then the epoch is noted."""
        after: JobId | None = None
        told = wanted = 0
        while True:
            jobs = await self._kept.page(after=after, limit=_PART)
            revisions = issued_revisions(jobs, now=self._clock())
            report = IssuedReport(epoch=epoch, revisions=revisions, complete=not jobs)
            answer = await self._registry.report_issued(report)
            await self._orders.wanted(answer.wanted)
            told, wanted = told + len(revisions), wanted + len(answer.wanted)
            if not jobs:
                break
            after = jobs[-1].id
        await self._kept.note_reported(epoch)
        log.warning("registry_restored", epoch=epoch, reported=told, wanted=wanted)
