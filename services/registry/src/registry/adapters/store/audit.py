"""The audit: who did what, when. Rows are only appended."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert

from registry.adapters import tables

__all__ = ["Audit"]


_ADD: Final = insert(tables.audit)


class Audit:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(self, actor: str, action: str, what: str, detail: str, now: datetime) -> None:
        """Append to the audit; where that fails, so does the act."""
        self._connection.execute(
            _ADD,
            {"time": now, "actor": actor, "action": action, "object": what, "detail": detail},
        )
