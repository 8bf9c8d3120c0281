"""Events that were handled, so that each is handled once."""

import hashlib
from datetime import datetime

from sqlalchemy import Connection, delete, select, tuple_

from certkit.upsert import put_new
from registry.adapters import tables

__all__ = ["Inbox"]


class Inbox:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def first_time(self, source: str, event_id: str, now: datetime) -> bool:
        """Note an incoming event; False where it was handled before. Part of the same transaction as its effect."""
        row = {"source": _key(source), "event_id": _key(event_id), "handled_at": now}
        return put_new(self._connection, tables.inbox, row)

    def prune(self, before: datetime, limit: int) -> int:
        """Forget what was handled before; returns how many, at most `limit`."""
        row = tables.inbox
        oldest = select(row.c.source, row.c.event_id).where(row.c.handled_at < before).limit(limit)
        gone = delete(row).where(tuple_(row.c.source, row.c.event_id).in_(oldest))
        return self._connection.execute(gone).rowcount


def _key(text: str) -> str:
    # Cut off, two long ids would be one, and the second event would be dropped as known.
    return text if len(text) <= 255 else f"sha256-{hashlib.sha256(text.encode()).hexdigest()}"
