"""Tells the registry what jobs wait for: nothing has failed, and whoever looks at the certificate wants to know."""

from collections.abc import Callable
from typing import Final, Protocol

import structlog

from certcore.clock import Clock
from certcore.events import WAITS_SINCE
from certkit.registry_client import IssueLevel
from issuer.adapters.held_up_jobs import HeldUpJobs
from issuer.domain.job import JobId
from issuer.domain.wait_notice import MOMENT, HeldUp, Wait, is_news, wait_of
from issuer.handlers.bulkheads import Bulkheads

__all__ = ["WaitNotices", "WaitReports"]

log = structlog.get_logger()

_PAGE: Final = 500


class WaitReports(Protocol):
    async def waits(self, wait: Wait) -> None:
        """Tell the registry. Raises TransientError where no stream acknowledged it."""


class WaitNotices:
    """What was told is known as long as the process lives; told again by another one, it is the same report.

    `registry` gives what was last read of the registry; None where nothing was yet.
    """

    def __init__(
        self,
        *,
        jobs: HeldUpJobs,
        bulkheads: Bulkheads,
        reports: WaitReports,
        registry: Callable[[], IssueLevel | None],
        clock: Clock,
    ) -> None:
        self._jobs = jobs
        self._bulkheads = bulkheads
        self._reports = reports
        self._registry = registry
        self._clock = clock
        self._told: dict[JobId, Wait] = {}

    async def look(self) -> None:
        """One round. An older registry is told nothing: it would park each report as a dead letter.

        Raises:
            DatabaseBusyError: it is repeated.
            TransientError: the bus is away; what wasn't told is told in the next round.
        """
        registry = self._registry()
        if registry is None or registry.contract < WAITS_SINCE:
            return
        now, away = self._clock(), self._bulkheads.away()
        waiting: dict[JobId, Wait] = {}
        page: list[HeldUp] = []
        while page := await self._jobs.page(
            since=now - MOMENT, away=away, after=page[-1] if page else None, limit=_PAGE
        ):
            for held in page:
                wait = wait_of(held, away=away, now=now)
                if wait is not None:
                    waiting[wait.job] = await self._tell(wait)
        # Of the others nothing needs to be remembered.
        self._told = waiting

    async def _tell(self, wait: Wait) -> Wait:
        """What of this wait is told now."""
        told = self._told.get(wait.job)
        if told is not None and not is_news(wait, told):
            return told
        await self._reports.waits(wait)
        self._told[wait.job] = wait
        log.info("wait_told", **_about(wait))
        return wait


def _about(wait: Wait) -> dict[str, str | int | None]:
    return {
        "certificate_id": wait.job.certificate_id,
        "revision": wait.job.revision,
        "variant": wait.job.variant,
        "ca": wait.ca,
        "reason": wait.reason,
        "until": wait.until.isoformat() if wait.until is not None else None,
    }
