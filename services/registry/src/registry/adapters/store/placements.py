"""Rows of placements."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, case, func, select

from certcore.identities import recipient_name
from certcore.placements import Action
from certkit.prepared import Prepared
from certkit.upsert import put
from registry.adapters import tables
from registry.adapters.store.statements import OfIds, known_or_text
from registry.domain.placement import Placement

__all__ = ["Placed", "Placements"]

_ENCAPSULATED: Final = 32
"""Bytes at the start of what HPKE sealed with X25519 (RFC 9180): a new key at every sealing."""


@dataclass(frozen=True)
class Placed:
    """A placement, the kinds that its service reported (None: none), and all else from which its order follows."""

    placement: Placement
    kinds: frozenset[str] | None
    facts: tuple[object, ...]


_COLUMNS: Final = tuple(tables.placement.c[field.name] for field in fields(Placement))
_ACTION: Final = _COLUMNS.index(tables.placement.c.action)

_OF: Final = OfIds(_COLUMNS, tables.placement.c.certificate_id, tables.placement.c.target)


def _ordered_at() -> Select[Any]:
    row, certificate, revision = tables.placement, tables.certificate, tables.revision
    bundle, seen = tables.bundle, tables.service
    here = and_(row.c.place == bindparam("here"), row.c.service == bindparam("by"))
    ids = (
        select(row.c.certificate_id)
        .where(here, row.c.certificate_id > bindparam("known"))
        .distinct()
        .order_by(row.c.certificate_id)
        .limit(bindparam("most"))
    )
    leaf = and_(
        revision.c.certificate_id == row.c.certificate_id,
        revision.c.number == row.c.wanted,
        revision.c.variant == row.c.variant,
    )
    sealed = and_(
        bundle.c.certificate_id == row.c.certificate_id,
        bundle.c.revision == row.c.wanted,
        bundle.c.variant == row.c.variant,
        bundle.c.recipient == bindparam("recipient_of"),
    )
    return (
        select(
            *_COLUMNS,
            certificate.c.spec_hash,
            certificate.c.traceparent,
            revision.c.fingerprint_sha256,
            # Another at every sealing.
            func.substr(bundle.c.sealed, 1, _ENCAPSULATED).label("encapsulated"),
            seen.c.kinds,
        )
        .join(certificate, certificate.c.id == row.c.certificate_id)
        .outerjoin(revision, leaf)
        .outerjoin(bundle, sealed)
        .outerjoin(seen, and_(seen.c.place == row.c.place, seen.c.service == row.c.service))
        .where(here, row.c.certificate_id.in_(ids))
        .order_by(row.c.certificate_id, row.c.target)
    )


# Built once: that costs more than finding a short page.
_ORDERED_AT: Final = Prepared(_ordered_at())


class Placements:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, placement: Placement) -> None:
        values = vars(placement) | {"action": str(placement.action)}
        put(self._connection, tables.placement, values, ("certificate_id", "target"))

    def of(self, certificate_ids: Sequence[str]) -> dict[str, list[Placement]]:
        """By certificate, then by target."""
        found: dict[str, list[Placement]] = defaultdict(list)
        for item in _OF.rows(self._connection, certificate_ids):
            found[item.certificate_id].append(_placement(item))
        return found

    def ordered_at(self, place: str, service: str, *, after: str, limit: int) -> list[Placed]:
        """What a service of a place should hold of so many certificates after an id, by id and target."""
        here = {"here": place, "by": service, "recipient_of": recipient_name(place, service)}
        found = _ORDERED_AT.rows(self._connection, {**here, "known": after, "most": limit})
        return [_placed(item) for item in found]

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


def _placed(row: Any) -> Placed:
    *others, kinds = row[len(_COLUMNS) :]
    facts = (*others, sorted(kinds) if kinds is not None else None)
    return Placed(_placement(row), frozenset(kinds) if kinds is not None else None, facts)


def _placement(row: Any) -> Placement:
    # By position: names cost more than all else of reading a row, and a level has hundreds.
    values = list(row[: len(_COLUMNS)])
    values[_ACTION] = known_or_text(Action, values[_ACTION])
    return Placement(*values)
