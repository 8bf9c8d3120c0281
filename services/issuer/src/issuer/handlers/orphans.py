"""Tidies up at the CAs: orders that jobs gave up would stay open there, and count against what a CA allows."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import structlog

from certcore.clock import Clock
from issuer.adapters.journal import Journal
from issuer.domain.ca_order import OrderView
from issuer.domain.errors import AcmeProblemError, CaUnreachableError
from issuer.domain.order_record import OrderRecord
from issuer.domain.orphan import OrphanMove, is_gone, is_past, judge_orphan

__all__ = ["Orphans", "TidyCa"]

log = structlog.get_logger()

_SILENCES: Final = 3
"""After so many questions in a row without an answer a CA is left alone until the next round."""


class TidyCa(Protocol):
    """A CA that orders can be tidied up at. Its calls raise AcmeProblemError and CaUnreachableError."""

    async def order(self, url: str) -> OrderView: ...

    async def deactivate(self, authorization_url: str) -> None:
        """An authorization that is gone is no problem."""


class Orphans:
    def __init__(self, *, journal: Journal, cas: Mapping[str, TidyCa], clock: Clock) -> None:
        self._journal = journal
        self._cas = cas
        self._clock = clock
        self._tried: Counter[str] = Counter()

    async def tidy(self) -> None:
        """One round. What can't be tidied up now is tried in the next one.

        Raises:
            DatabaseBusyError: it is repeated.
        """
        found = await self._journal.orphans()
        self._tried = Counter({record.url: self._tried[record.url] for record in found})
        by_ca: dict[str, list[OrderRecord]] = {}
        # Those that no answer came about don't stand before the others.
        for record in sorted(found, key=lambda record: self._tried[record.url]):
            by_ca.setdefault(record.ca, []).append(record)
        await asyncio.gather(*(self._at(name, records) for name, records in by_ca.items()))

    async def _at(self, name: str, records: Sequence[OrderRecord]) -> None:
        ca, silences = self._cas.get(name), 0
        for record in records:
            if is_past(record, now=self._clock()):
                await self._close(record, "it is too old to be open")
            elif ca is not None and silences < _SILENCES:
                self._tried[record.url] += 1
                try:
                    await self._tidy(ca, record)
                except CaUnreachableError as error:
                    silences += 1
                    log.info("orphan_left", ca=name, order=record.url, error=str(error))
                else:
                    silences = 0

    async def _tidy(self, ca: TidyCa, record: OrderRecord) -> None:
        try:
            view = await ca.order(record.url)
            match judge_orphan(view.status):
                case OrphanMove.DEACTIVATE:
                    for url in view.authorizations:
                        await ca.deactivate(url)
                    await self._close(record, "its authorizations are deactivated")
                case OrphanMove.TELL:
                    log.warning("orphan_finished", **_about(record), status=view.status)
                    await self._close(record, f"it is {view.status}")
                case OrphanMove.CLOSE:
                    await self._close(record, f"it is {view.status}")
                case OrphanMove.LOOK_AGAIN:
                    pass
        except AcmeProblemError as problem:
            if is_gone(problem):
                await self._close(record, "the CA has it no more")
            else:
                log.info("orphan_left", ca=record.ca, order=record.url, error=str(problem))

    async def _close(self, record: OrderRecord, why: str) -> None:
        await self._journal.close_order(record)
        log.info("orphan_closed", **_about(record), reason=why)


def _about(record: OrderRecord) -> dict[str, str | int]:
    return {
        "certificate_id": record.job.certificate_id,
        "revision": record.job.revision,
        "variant": record.job.variant,
        "ca": record.ca,
        "order": record.url,
    }
