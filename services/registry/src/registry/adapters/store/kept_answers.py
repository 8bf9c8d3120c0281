"""Rows of answers that are kept for a while."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from certkit.prepared import Prepared
from registry.adapters import tables
from registry.domain.keyed import Answer, KeptAnswer, KeyedCall

__all__ = ["KeptAnswers"]

_ROW: Final = tables.kept_answer
_FIND: Final = Prepared(
    select(_ROW.c.fingerprint, _ROW.c.status, _ROW.c.body, _ROW.c.location).where(
        _ROW.c.scope == bindparam("called"), _ROW.c.kept_at >= bindparam("since")
    )
)
_FORGET: Final = Prepared(delete(_ROW).where(_ROW.c.scope == bindparam("called")))
_ADD: Final = Prepared(insert(_ROW))
_OLDEST: Final = (
    select(_ROW.c.kept_at)
    .where(_ROW.c.principal == bindparam("whose"))
    .order_by(_ROW.c.kept_at.desc())
    .offset(bindparam("most"))
    .limit(1)
)
_TRIM: Final = Prepared(
    delete(_ROW).where(_ROW.c.principal == bindparam("whose"), _ROW.c.kept_at <= _OLDEST.scalar_subquery())
)


class KeptAnswers:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, call: KeyedCall, *, since: datetime) -> KeptAnswer | None:
        for row in _FIND.rows(self._connection, {"called": call.scope, "since": since}):
            return KeptAnswer(row.fingerprint, Answer(row.status, row.body, row.location))
        return None

    def keep(self, call: KeyedCall, answer: Answer, *, now: datetime, most: int) -> None:
        """Keep the answer, in the place of one that is too old, and the `most` newest of its principal.

        A row of another transaction under the same key fails this one.
        """
        _FORGET.change(self._connection, {"called": call.scope})
        _ADD.change(
            self._connection,
            {
                "scope": call.scope,
                "principal": call.principal,
                "fingerprint": call.fingerprint,
                "status": answer.status,
                "body": answer.body,
                "location": answer.location,
                "kept_at": now,
            },
        )
        _TRIM.change(self._connection, {"whose": call.principal, "most": most})

    def prune(self, before: datetime, limit: int) -> int:
        """Forget what was kept before; returns how many, at most `limit`."""
        old = select(_ROW.c.scope).where(_ROW.c.kept_at < before).limit(limit)
        return self._connection.execute(delete(_ROW).where(_ROW.c.scope.in_(old.scalar_subquery()))).rowcount
