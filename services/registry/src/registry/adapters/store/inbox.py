"""Events that were handled, so that each is handled once."""

import hashlib
from datetime import datetime

from sqlalchemy import Connection, insert

from registry.adapters import tables
from registry.adapters.store.statements import exists

__all__ = ["Inbox"]


class Inbox:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def first_time(self, source: str, event_id: str, now: datetime) -> bool:
        """Note an incoming event; False where it was handled before. Part of the same transaction as its effect."""
        key = {"source": _key(source), "event_id": _key(event_id)}
        if exists(self._connection, tables.inbox, key):
            return False
        self._connection.execute(insert(tables.inbox).values(handled_at=now, **key))
        return True


def _key(text: str) -> str:
    # Cut off, two long ids would be one, and the second event would be dropped as known.
    return text if len(text) <= 255 else f"sha256-{hashlib.sha256(text.encode()).hexdigest()}"
