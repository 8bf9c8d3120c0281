"""The audit: who did what, when. Rows are only appended, each to the chain of its writer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, insert, select

from certcore.audit import AuditEntry, AuditHead, Way, entry_fields, hash_of
from certkit.prepared import Prepared
from registry.adapters import tables

__all__ = ["Audit", "AuditFilter"]

_ROW: Final = tables.audit
_ADD: Final = Prepared(insert(_ROW))
_HEAD: Final = Prepared(
    select(_ROW.c.number, _ROW.c.hash).where(_ROW.c.chain == bindparam("of")).order_by(_ROW.c.number.desc()).limit(1)
)
_NEXT_CHAIN: Final = Prepared(select(func.min(_ROW.c.chain)).where(_ROW.c.chain > bindparam("known")))
_COLUMNS: Final = tuple(_ROW.c[name] for name in AuditEntry.model_fields if name in _ROW.c)
_AFTER: Final = Prepared(
    select(*_COLUMNS)
    .where(_ROW.c.chain == bindparam("of"), _ROW.c.number > bindparam("known"), _ROW.c.number <= bindparam("last"))
    .order_by(_ROW.c.number)
    .limit(bindparam("most"))
)
_AT: Final = Prepared(select(_ROW.c.hash).where(_ROW.c.chain == bindparam("of"), _ROW.c.number == bindparam("at")))

_CHAIN: Final = "registry.audit_chain"
_ONLY_CHAIN: Final = 1
_LOCKS: Final = 0x61756474
"""Of PostgreSQL: the first half of the advisory locks by which connections claim chains."""
_LONGEST: Final = {"actor": 127, "action": 64, "object": 255, "roles": 127}


@dataclass(frozen=True)
class AuditFilter:
    """Entries that have all that is given. `until` is excluded."""

    actor: str | None = None
    action: str | None = None
    object: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Audit:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(
        self,
        actor: str,
        action: str,
        what: str,
        detail: str,
        now: datetime,
        *,
        way: Way = Way.UNTOLD,
        roles: Iterable[str] = (),
    ) -> None:
        """Append to the audit; where that fails, so does the act.

        What it follows is read in the same transaction: what is rolled back leaves no hole.
        """
        chain = self._chain()
        last = next(iter(_HEAD.rows(self._connection, {"of": chain})), None)
        fields = entry_fields(
            chain=chain,
            number=last.number + 1 if last is not None else 1,
            time=now,
            actor=_fitting("actor", actor),
            way=way.value,
            roles=_fitting("roles", ", ".join(sorted(roles))),
            action=_fitting("action", action),
            what=_fitting("object", what),
            detail=_storable(detail),
            previous=last.hash if last is not None else None,
        )
        values: dict[str, Any] = {name: value for name, value in fields.items() if name != "kind"}
        _ADD.change(self._connection, values | {"time": now, "hash": hash_of(fields)})

    def page(self, wanted: AuditFilter, *, before: int | None, limit: int) -> list[tuple[int, AuditEntry]]:
        """Newest first, those from before one, each with its place in the list."""
        query = select(_ROW.c.sequence, *_COLUMNS).order_by(_ROW.c.sequence.desc()).limit(limit)
        conditions = [
            _ROW.c[name] == value
            for name in ("actor", "action", "object")
            if (value := getattr(wanted, name)) is not None
        ]
        if wanted.since is not None:
            conditions.append(_ROW.c.time >= wanted.since)
        if wanted.until is not None:
            conditions.append(_ROW.c.time < wanted.until)
        if before is not None:
            conditions.append(_ROW.c.sequence < before)
        return [
            (sequence, _entry(values)) for sequence, *values in self._connection.execute(query.where(*conditions))
        ]

    def heads(self) -> list[AuditHead]:
        """The last entry of each chain."""
        found: list[AuditHead] = []
        chain = 0
        while True:
            ((following,),) = _NEXT_CHAIN.rows(self._connection, {"known": chain})
            if following is None:
                return found
            chain = following
            (last,) = _HEAD.rows(self._connection, {"of": chain})
            found.append(AuditHead(chain=chain, number=last.number, hash=last.hash))

    def part(self, head: AuditHead, *, after: int, limit: int) -> list[AuditEntry]:
        """Entries of a chain up to this head, after one of its numbers, oldest first."""
        values = {"of": head.chain, "known": after, "last": head.number, "most": limit}
        return [_entry(row) for row in _AFTER.rows(self._connection, values)]

    def holds(self, head: AuditHead) -> bool:
        """Whether this entry is still there, as it was."""
        found = _AT.rows(self._connection, {"of": head.chain, "at": head.number})
        return [row.hash for row in found] == [head.hash]

    def _chain(self) -> int:
        """SQLite has one writer. In PostgreSQL each connection has a chain to itself as long as it lives: nobody
        waits for another's transaction, and chains are taken up again.
        """
        if self._connection.dialect.name == "sqlite":
            return _ONLY_CHAIN
        info = self._connection.info
        if _CHAIN not in info:
            info[_CHAIN] = next(
                chain
                for chain in count(1)
                if self._connection.execute(select(func.pg_try_advisory_lock(_LOCKS, chain))).scalar_one()
            )
        chain: int = info[_CHAIN]
        return chain


def _entry(values: Sequence[Any]) -> AuditEntry:
    return AuditEntry.model_construct(**dict(zip((column.name for column in _COLUMNS), values, strict=True)))


def _fitting(column: str, text: str) -> str:
    return _storable(text)[: _LONGEST[column]]


def _storable(text: str) -> str:
    """Callers name what they like: not every database takes a zero byte or half a surrogate pair."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
