"""Whether the database is copied as often as it should be."""

import asyncio
from datetime import timedelta
from pathlib import Path

import structlog

from certcore.clock import Clock
from registry.adapters.copy_folder import CopyFolder
from registry.adapters.outbox import SOURCE, Bell
from registry.adapters.store import Store, Transaction
from registry.domain.copy import BACKUP_OLD, judge_age
from registry.handlers.alarms import Alarms

__all__ = ["BackupWatch"]

log = structlog.get_logger()


class BackupWatch:
    """Without a folder nobody asked for copies, and none is missed."""

    def __init__(
        self, folder: Path | None, *, most: timedelta, store: Store, alarms: Alarms, bell: Bell, clock: Clock
    ) -> None:
        self._folder = folder
        self._most = most
        self._store = store
        self._alarms = alarms
        self._bell = bell
        self._clock = clock

    async def look(self) -> None:
        """Raise an alert where the newest copy is too old, or end it; a round."""
        found = []
        if self._folder is not None:
            try:
                newest = await asyncio.to_thread(CopyFolder(self._folder).newest)
            except OSError as error:
                log.warning("copies_not_read", folder=str(self._folder), error=error.strerror)
                newest = None
            found = judge_age(str(self._folder), newest, now=self._clock(), most=self._most)

        def differs(transaction: Transaction) -> bool:
            return self._alarms.differ(transaction.alerts.open(source=SOURCE, reasons=[BACKUP_OLD]), found)

        if await self._store.read(differs):
            await self._store.write(lambda transaction: self._alarms.settle(transaction, found, reasons=[BACKUP_OLD]))
            self._bell.ring()
