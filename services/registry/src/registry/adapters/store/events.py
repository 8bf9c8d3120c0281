"""The log of events, which is the outbox too: a row without `sent_at` was not published yet."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from certcore.events import Event
from registry.adapters import tables

__all__ = ["Events", "StoredEvent"]


@dataclass(frozen=True)
class StoredEvent:
    sequence: int
    id: str
    type: str
    source: str
    stream: str
    subject: str
    about: str
    time: datetime
    data: str
    traceparent: str | None


class Events:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self,
        event: Event,
        *,
        event_id: str,
        source: str,
        stream: str,
        subject: str,
        about: str,
        now: datetime,
        traceparent: str | None,
        sent: bool = False,
    ) -> None:
        self._connection.execute(
            insert(tables.event),
            {
                "id": event_id,
                "type": event.type,
                "source": source,
                "stream": stream,
                "subject": subject,
                "about": about,
                "time": now,
                "data": event.model_dump_json(),
                "traceparent": traceparent,
                "sent_at": now if sent else None,
            },
        )

    def unsent(self, limit: int) -> list[StoredEvent]:
        """Oldest first."""
        row = tables.event
        query = select(row).where(row.c.sent_at.is_(None)).order_by(row.c.sequence).limit(limit)
        return [_event(found) for found in self._connection.execute(query)]

    def mark_sent(self, sequence: int, now: datetime) -> None:
        row = tables.event
        self._connection.execute(update(row).where(row.c.sequence == sequence).values(sent_at=now))

    def after(self, sequence: int, limit: int) -> list[StoredEvent]:
        """Oldest first."""
        row = tables.event
        query = select(row).where(row.c.sequence > sequence).order_by(row.c.sequence).limit(limit)
        return [_event(found) for found in self._connection.execute(query)]

    def get(self, event_id: str) -> StoredEvent | None:
        return self._one(select(tables.event).where(tables.event.c.id == event_id))

    def last(self) -> StoredEvent | None:
        return self._one(select(tables.event).order_by(tables.event.c.sequence.desc()).limit(1))

    def _one(self, query: Select[Any]) -> StoredEvent | None:
        found = (self._connection.execute(query)).one_or_none()
        return _event(found) if found else None


def _event(row: Row[Any]) -> StoredEvent:
    values = row._asdict()
    del values["sent_at"]
    return StoredEvent(**values)
