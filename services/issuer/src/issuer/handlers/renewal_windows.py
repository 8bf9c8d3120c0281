"""Asks the CAs when they suggest to renew what they issued (RFC 9773), and tells the registry."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from certcore.clock import Clock
from certkit.registry_client import IssueLevel
from issuer.adapters.window_book import WindowBook
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from issuer.domain.renewal_info import RenewalInfo
from issuer.domain.renewal_window import Watched, after_answer, after_silence

__all__ = ["RenewalWindows", "SuggestingCa", "Suggestions"]

log = structlog.get_logger()

_AT_ONCE: Final = 8
_ROUND: Final = 1000
"""Questions to one CA in one round."""
_CLAIMED: Final = timedelta(minutes=5)
"""After a crash another host asks what this one was about to ask."""
_STORED_LATE: Final = timedelta(minutes=10)
_READS_WINDOWS: Final = 3
"""The contract level of registries that know the report; an older one would park each as a dead letter."""


class SuggestingCa(Protocol):
    async def renewal_info(self, ari_id: str) -> RenewalInfo | None:
        """None where the CA tells no windows. Raises AcmeProblemError and CaUnreachableError."""


class Suggestions(Protocol):
    async def suggested(self, watched: Watched, *, epoch: int) -> None:
        """Tell the registry. Raises TransientError where no stream acknowledged it."""


class RenewalWindows:
    """`registry` gives what was last read of the registry; None where nothing was yet."""

    def __init__(
        self,
        *,
        book: WindowBook,
        cas: Mapping[str, SuggestingCa],
        reports: Suggestions,
        registry: Callable[[], IssueLevel | None],
        clock: Clock,
    ) -> None:
        self._book = book
        self._cas = cas
        self._reports = reports
        self._registry = registry
        self._clock = clock
        self._adopted_at: datetime | None = None

    async def look(self) -> None:
        """One round. Its questions to one CA wait for no other CA.

        Raises:
            DatabaseBusyError: it is repeated.
            TransientError: the bus is away; what wasn't told is told in the next round.
        """
        now = self._clock()
        await self._book.adopt(since=self._adopted_at, now=now)
        # Its hand-over may be stored later than it says.
        self._adopted_at = now - _STORED_LATE
        await asyncio.gather(*(self._ask_all(name, ca) for name, ca in self._cas.items()))
        await self._tell()

    async def _ask_all(self, name: str, ca: SuggestingCa) -> None:
        for _ in range(_ROUND // _AT_ONCE):
            now = self._clock()
            due = await self._book.claim(name, now=now, until=now + _CLAIMED, most=_AT_ONCE)
            answered = await asyncio.gather(*(self._ask(ca, watched) for watched in due))
            if len(due) < _AT_ONCE or not any(answered):
                return

    async def _ask(self, ca: SuggestingCa, watched: Watched) -> bool:
        """Whether the CA answered."""
        reached = True
        try:
            info = await ca.renewal_info(watched.ari_id)
        except AcmeProblemError as problem:
            # Of a server in trouble, or that is asked too much, more can be hoped for than of a refusal.
            lasting = problem.status < 500 and problem.status != 429
            after = after_silence(watched, retry_after=problem.retry_after, lasting=lasting, now=self._clock())
            log.info("renewal_window_not_told", **_about(watched), error=str(problem))
        except CaUnreachableError as error:
            reached = False
            after = after_silence(watched, now=self._clock())
            log.info("renewal_window_not_told", **_about(watched), error=str(error))
        else:
            after = after_answer(watched, info, now=self._clock())
        if await self._book.save(watched, after) and after.changes > watched.changes and after.window is not None:
            window = after.window
            log.info(
                "renewal_window_changed",
                **_about(watched),
                start=window.start.isoformat(),
                end=window.end.isoformat(),
                chosen=window.chosen.isoformat(),
                explanation_url=window.explanation_url,
            )
        return reached

    async def _tell(self) -> None:
        registry = self._registry()
        if registry is None or registry.contract < _READS_WINDOWS:
            return
        while found := await self._book.untold(epoch=registry.epoch):
            for watched in found:
                await self._reports.suggested(watched, epoch=registry.epoch)
            await self._book.told(found, epoch=registry.epoch)


def _about(watched: Watched) -> dict[str, str | int]:
    return {
        "certificate_id": watched.job.certificate_id,
        "revision": watched.job.revision,
        "variant": watched.job.variant,
        "ca": watched.ca,
    }
