"""The newest report of what is used of the CAs' limits."""

from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from certcore.ca_limits.report import LimitsReport
from certkit.database import UtcDateTime
from registry.adapters import tables

__all__ = ["CaLimits"]

_ROW: Final = tables.ca_limits
_ONE: Final = 1
_READ: Final = select(_ROW.c.report).where(_ROW.c.id == _ONE)
_FORGET: Final = delete(_ROW).where(_ROW.c.made_at < bindparam("before", type_=UtcDateTime))
_NEWER: Final = select(_ROW.c.id).where(_ROW.c.id == _ONE)


class CaLimits:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def newest(self) -> LimitsReport | None:
        found: str | None = self._connection.execute(_READ).scalar_one_or_none()
        return LimitsReport.model_validate_json(found) if found is not None else None

    def keep(self, report: LimitsReport) -> bool:
        """In the place of an older one; False where a newer one is kept."""
        self._connection.execute(_FORGET, {"before": report.made_at})
        if self._connection.execute(_NEWER).scalar_one_or_none() is not None:
            return False
        row = {"id": _ONE, "made_at": report.made_at, "report": report.model_dump_json()}
        self._connection.execute(insert(_ROW), row)
        return True
