"""Rows of policies: each that ever held, the newest last."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, select

from certkit.prepared import Prepared
from registry.adapters import tables

__all__ = ["Policies"]

_ROW: Final = tables.policy
_NEWEST: Final = Prepared(select(_ROW.c.digest).order_by(_ROW.c.sequence.desc()).limit(1))


class Policies:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def digest(self) -> str | None:
        """Of the policy that holds; None before there was any."""
        return next((found.digest for found in _NEWEST.rows(self._connection, {})), None)

    def document(self, digest: str) -> str:
        """The policy with this digest, as JSON."""
        query = select(_ROW.c.document).where(_ROW.c.digest == digest).order_by(_ROW.c.sequence.desc()).limit(1)
        return str(self._connection.execute(query).scalar_one())

    def keep(self, digest: str, document: str, *, now: datetime) -> None:
        """From now on this one holds."""
        self._connection.execute(insert(_ROW).values(digest=digest, document=document, kept_at=now))
