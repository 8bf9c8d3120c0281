"""Rows of certificates as renewals look at them, and of the renewals that were ordered lately."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from certkit.database import UtcDateTime
from certkit.prepared import Prepared
from registry.adapters import tables
from registry.adapters.store.facts import NEVER
from registry.domain.certificate import ENDED_STATES, Certificate
from registry.domain.lateness import Unfollowed
from registry.domain.pace import Turn, Waiting
from registry.domain.renewal import turn_told

__all__ = ["Renewals"]

_ROW: Final = tables.certificate
_ORDERED: Final = tables.ordered_renewal

_DUE: Final = Prepared(select(_ROW.c.renew_by, _ROW.c.id, _ROW.c.owner).where(_ROW.c.due_at <= bindparam("now")))
_LATER: Final = Prepared(
    update(_ROW)
    .where(_ROW.c.id == bindparam("known_id"), _ROW.c.due_at <= bindparam("now", type_=UtcDateTime))
    .values(
        version=_ROW.c.version + 1,
        due_at=bindparam("at"),
        renews_at=bindparam("at"),
        renewal_reason=bindparam("told"),
    )
)
_PLAN: Final = Prepared(
    update(_ROW)
    .where(_ROW.c.id == bindparam("known_id"), _ROW.c.version == bindparam("known_version"))
    .values(
        version=_ROW.c.version + 1,
        due_at=bindparam("at"),
        renews_at=bindparam("shown"),
        renewal_reason=bindparam("told"),
        renew_by=bindparam("by"),
    )
)
_NOTE: Final = Prepared(insert(_ORDERED))
_BY_HAND: Final = Prepared(
    select(_ORDERED.c.ordered_at)
    .where(
        _ORDERED.c.owner == bindparam("owner"),
        _ORDERED.c.by_hand.is_(True),
        _ORDERED.c.ordered_at > bindparam("since"),
    )
    .order_by(_ORDERED.c.ordered_at)
)


class Renewals:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def due(self, now: datetime) -> list[Waiting]:
        """All that renewals must look at now, in no order."""
        found = _DUE.rows(self._connection, {"now": now})
        return [Waiting(row.renew_by or NEVER, row.id, row.owner) for row in found]

    def put_off(self, turns: Iterable[Turn], now: datetime) -> int:
        """Have what is still due wait for its turn; returns how many do."""
        return sum(
            _LATER.change(
                self._connection,
                {"known_id": turn.certificate_id, "now": now, "at": turn.at, "told": turn_told(turn.detail)},
            )
            for turn in turns
        )

    def plan(self, certificate: Certificate, at: datetime | None, told: str, by: datetime | None) -> bool:
        """Store when it is renewed, and why then; False where somebody saved it since it was read."""
        key = {"known_id": certificate.id, "known_version": certificate.version}
        values = {"at": at, "shown": at or NEVER, "told": told, "by": by}
        return _PLAN.change(self._connection, key | values) == 1

    def note(self, owner: str, *, by_hand: bool, now: datetime) -> None:
        """A renewal of this team is ordered."""
        _NOTE.change(self._connection, {"owner": owner, "ordered_at": now, "by_hand": by_hand})

    def ordered(self, since: datetime) -> dict[str, int]:
        """How many were ordered of each team since an instant."""
        query = (
            select(_ORDERED.c.owner, func.count().label("number"))
            .where(_ORDERED.c.ordered_at >= since)
            .group_by(_ORDERED.c.owner)
        )
        return {found.owner: found.number for found in self._connection.execute(query)}

    def by_hand(self, owner: str, since: datetime) -> Sequence[datetime]:
        """When people of a team renewed something since an instant, the first one first."""
        return [found.ordered_at for found in _BY_HAND.rows(self._connection, {"owner": owner, "since": since})]

    def prune(self, before: datetime, limit: int) -> int:
        """Forget what was ordered before; returns how many, at most `limit`."""
        oldest = select(_ORDERED.c.sequence).where(_ORDERED.c.ordered_at < before).limit(limit)
        return self._connection.execute(delete(_ORDERED).where(_ORDERED.c.sequence.in_(oldest))).rowcount

    def late(self, now: datetime) -> list[Unfollowed]:
        """Those that should have been renewed by now; the one whose last sixth began first comes first."""
        query = (
            select(
                _ROW.c.name, _ROW.c.owner, _ROW.c.state, _ROW.c.renewal_reason, _ROW.c.renew_by, _ROW.c.served_until
            )
            .where(_ROW.c.renew_by <= now, _ROW.c.state.not_in([state.value for state in ENDED_STATES]))
            .order_by(_ROW.c.renew_by, _ROW.c.name)
        )
        found = (Unfollowed(*row) for row in self._connection.execute(query))
        return [late._replace(served_until=None) if late.served_until == NEVER else late for late in found]
