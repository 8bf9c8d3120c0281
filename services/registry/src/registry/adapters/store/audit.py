"""The audit: who did what, when. Rows are only appended."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert

from certkit.prepared import Prepared
from registry.adapters import tables

__all__ = ["Audit"]


_ADD: Final = Prepared(insert(tables.audit))


class Audit:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(self, actor: str, action: str, what: str, detail: str, now: datetime) -> None:
        """Append to the audit; where that fails, so does the act."""
        values = {"time": now, "actor": actor, "action": action, "object": what, "detail": detail}
        _ADD.change(self._connection, values)
