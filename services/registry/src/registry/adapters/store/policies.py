"""Rows of policies: each that ever held, the newest last."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select, update

from certkit.prepared import Prepared
from registry.adapters import tables

__all__ = ["Policies"]

_ROW: Final = tables.policy
_NEWEST: Final = Prepared(select(_ROW.c.digest).order_by(_ROW.c.sequence.desc()).limit(1))

_PLANNED: Final = Prepared(select(_ROW.c.sequence, _ROW.c.planned_at).order_by(_ROW.c.sequence.desc()).limit(1))


class Policies:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._found: tuple[str | None] | None = None

    def digest(self) -> str | None:
        """Of the policy that holds; None before there was any. A transaction sees one state: it is asked for once."""
        if self._found is None:
            self._found = (next((found.digest for found in _NEWEST.rows(self._connection, {})), None),)
        return self._found[0]

    def document(self, digest: str) -> str:
        """The policy with this digest, as JSON."""
        query = select(_ROW.c.document).where(_ROW.c.digest == digest).order_by(_ROW.c.sequence.desc()).limit(1)
        return str(self._connection.execute(query).scalar_one())

    def keep(self, digest: str, document: str, *, now: datetime) -> None:
        """From now on this one holds."""
        self._connection.execute(insert(_ROW).values(digest=digest, document=document, kept_at=now))
        self._found = None

    def unplanned(self) -> int | None:
        """The policy that holds, by its sequence, where not every renewal is planned by it yet; else None."""
        found = next(iter(_PLANNED.rows(self._connection, {})), None)
        return found.sequence if found is not None and found.planned_at is None else None

    def planned(self, sequence: int, now: datetime) -> None:
        """Every renewal is planned by this one."""
        self._connection.execute(update(_ROW).where(_ROW.c.sequence == sequence).values(planned_at=now))
