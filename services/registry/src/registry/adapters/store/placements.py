"""Rows of placements."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, bindparam, case, func, select

from certcore.placements import Action
from registry.adapters import tables
from registry.adapters.store.statements import known_or_text, put
from registry.domain.placement import Placement

__all__ = ["Placements"]


_OF: Final = (
    select(tables.placement)
    .where(tables.placement.c.certificate_id.in_(bindparam("ids", expanding=True)))
    .order_by(tables.placement.c.target)
)


class Placements:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, placement: Placement) -> None:
        values = asdict(placement) | {"action": str(placement.action)}
        put(self._connection, tables.placement, values, ("certificate_id", "target"))

    def of(self, certificate_ids: Sequence[str]) -> dict[str, list[Placement]]:
        """By certificate, then by target."""
        found: dict[str, list[Placement]] = defaultdict(list)
        for item in self._connection.execute(_OF, {"ids": certificate_ids}):
            found[item.certificate_id].append(_placement(item))
        return found

    def certificates_at(
        self, place: str, service: str, *, kinds: Iterable[str] = (), after: str = "", limit: int
    ) -> list[str]:
        """Ids, in their own order, of the certificates that a service of a place should hold, or of some kinds."""
        row = tables.placement
        query = (
            select(row.c.certificate_id)
            .where(row.c.place == place, row.c.service == service, row.c.certificate_id > after)
            .distinct()
            .order_by(row.c.certificate_id)
            .limit(limit)
        )
        kinds = list(kinds)
        if kinds:
            query = query.where(row.c.kind.in_(kinds))
        return list((self._connection.execute(query)).scalars())

    def counts(self) -> dict[str, tuple[int, int]]:
        """How many placements hold what they should, and how many there are, by place."""
        row = tables.placement
        right = and_(
            row.c.action == Action.HOLD.value,
            row.c.wanted.is_not(None),
            row.c.held == row.c.wanted,
            row.c.held_generation == row.c.generation,
        )
        done = func.sum(case((right, 1), else_=0))
        query = select(row.c.place, done.label("done"), func.count().label("total")).group_by(row.c.place)
        return {found.place: (int(found.done), int(found.total)) for found in self._connection.execute(query)}


def _placement(row: Row[Any]) -> Placement:
    values = row._asdict()
    values["action"] = known_or_text(Action, values["action"])
    return Placement(**values)
