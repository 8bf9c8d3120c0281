"""The lists of revoked certificates of the CAs that sign here: written when one is added, and before they end."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog

from certcore.clock import Clock
from certcore.errors import TransientError
from issuer.adapters.crl_book import CrlBook
from issuer.domain.crl import CrlCa, CrlReason, ListedLeaf, decide_crl, to_be_listed
from issuer.domain.errors import CrlUnwritableError
from issuer.domain.revoked import Revocation

__all__ = ["Crls"]

log = structlog.get_logger()

_TRIES: Final = 3
_FORGOTTEN_AFTER: Final = timedelta(days=400)
"""Longer than any CRL is valid: no list that is still read has it."""


class Crls:
    """`cas` are those that can revoke. What is published is compared with the journal, so that it is whole again
    after a crash, and after another process wrote an older one.
    """

    def __init__(self, *, cas: Mapping[str, CrlCa], book: CrlBook, clock: Clock) -> None:
        self._cas = cas
        self._book = book
        self._clock = clock

    async def keep_up(self) -> None:
        """One round: no CA's file holds up another's.

        Raises:
            DatabaseBusyError: it is repeated.
            TransientError: a file can't be written; it is repeated.
        """
        failed = []
        for ca in self._cas.values():
            try:
                await self._published(ca)
            except CrlUnwritableError as error:
                failed.append(str(error))
        if failed:
            raise TransientError("; ".join(failed))

    async def prune(self) -> int:
        """Forget what ended ages ago, a bounded part in each transaction; how many.

        Raises:
            DatabaseBusyError: it is repeated.
        """
        return await self._book.prune(ended_before=self._clock() - _FORGOTTEN_AFTER)

    async def add(self, ca: CrlCa, leaf: ListedLeaf) -> Revocation | None:
        """Revoke a leaf, and publish it; what was revoked before is returned as it was, and published, too.

        Raises:
            DatabaseBusyError: nothing is done, or nobody knows.
            CrlUnwritableError: it is revoked, and not published: the running issuer goes on trying.
        """
        before = await self._book.add(ca.authority, leaf)
        await self._published(ca)
        return before

    async def _published(self, ca: CrlCa) -> None:
        for _ in range(_TRIES):
            published = await ca.published_crl()
            now = self._clock()
            revoked = await self._book.revoked(ca.authority)
            listed = to_be_listed(revoked, published, valid_for=ca.crl_valid_for, now=now)
            reason = decide_crl(published, listed, now=now)
            if reason is CrlReason.CURRENT:
                return
            number = await self._book.next_number(ca.authority, above=published.number if published else 0)
            await ca.publish_crl(listed, number=number, now=now)
            log.info("crl_published", ca=ca.name, number=number, entries=len(listed), reason=reason)
        log.warning("crl_overwritten", ca=ca.name)
