"""Rows of changes of rights that wait for a second admin."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, insert, literal, select, tuple_, update

from certcore.tokens import RightsAct, RightsState, TokenOrder
from certkit.database import UtcDateTime
from registry.adapters import tables
from registry.adapters.store.statements import known_or_text
from registry.domain.rights_change import RightsChange

__all__ = ["RightsChanges"]

_ROW: Final = tables.rights_change
_OPEN: Final = (RightsState.WAITING, RightsState.CONFIRMED)


class RightsChanges:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, change: RightsChange) -> None:
        self._connection.execute(
            insert(_ROW).values(
                id=change.id,
                act=change.act,
                subject=change.subject,
                roles=list(change.roles),
                asked_by=change.asked_by,
                issuer=change.issuer,
                created_at=change.created_at,
                expires_at=change.expires_at,
                token_order=change.order.model_dump(mode="json", exclude_defaults=True) if change.order else None,
                token_id=change.token_id,
                state=change.state,
                reason=change.reason,
            )
        )

    def hold(self, change_id: str) -> RightsChange | None:
        """The change, to decide on it: nobody else does before the end of the transaction."""
        query = select(_ROW).where(_ROW.c.id == change_id).with_for_update()
        found = self._connection.execute(query).one_or_none()
        return _change(found) if found is not None else None

    def save(self, change: RightsChange) -> None:
        """Store what was decided."""
        self._connection.execute(
            update(_ROW)
            .where(_ROW.c.id == change.id)
            .values(
                state=change.state,
                decided_by=change.decided_by,
                decided_at=change.decided_at,
                reason=change.reason,
                made_id=change.made_id,
            )
        )

    def page(
        self, *, now: datetime, limit: int, ended: bool, after: tuple[datetime, str] | None = None
    ) -> list[RightsChange]:
        """Newest first, those after one with this instant and id; with `ended` also what is over."""
        place = (_ROW.c.created_at, _ROW.c.id)
        query = select(_ROW).order_by(*(column.desc() for column in place)).limit(limit)
        if after is not None:
            instant, change_id = after
            query = query.where(tuple_(*place) < tuple_(literal(instant, UtcDateTime), change_id))
        if not ended:
            query = query.where(_ROW.c.state.in_(_OPEN), _ROW.c.expires_at > now)
        return [_change(row) for row in self._connection.execute(query)]

    def overdue(self, *, now: datetime, limit: int) -> list[RightsChange]:
        """Those that nobody decided on, or took, in time."""
        query = select(_ROW).where(_ROW.c.state.in_(_OPEN), _ROW.c.expires_at <= now).limit(limit).with_for_update()
        return [_change(row) for row in self._connection.execute(query)]


def _change(row: Any) -> RightsChange:
    return RightsChange(
        id=row.id,
        act=known_or_text(RightsAct, row.act),
        subject=row.subject,
        roles=tuple(row.roles or ()),
        asked_by=row.asked_by,
        issuer=row.issuer,
        created_at=row.created_at,
        expires_at=row.expires_at,
        order=TokenOrder.model_validate(row.token_order) if row.token_order is not None else None,
        token_id=row.token_id,
        state=known_or_text(RightsState, row.state),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        reason=row.reason,
        made_id=row.made_id,
    )
