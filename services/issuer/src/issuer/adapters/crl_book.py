"""What the CAs that sign here revoked, and the numbers of their lists: the same for all issuers of one journal."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from issuer.adapters.journal_database import NOBODY_WAITS_S, JournalDatabase
from issuer.adapters.journal_rows import revocation_of, revocation_row
from issuer.adapters.tables import crl_number, revoked_leaf
from issuer.domain.crl import ListedLeaf
from issuer.domain.revoked import Revocation

__all__ = ["CrlBook"]

ResultT = TypeVar("ResultT")

_OF_AUTHORITY: Final = select(revoked_leaf).where(revoked_leaf.c.authority == bindparam("of_authority"))
_ONE: Final = _OF_AUTHORITY.where(revoked_leaf.c.serial == bindparam("of_serial"))
_NUMBER: Final = select(crl_number.c.number).where(crl_number.c.authority == bindparam("of_authority"))
_COUNT: Final = update(crl_number).where(crl_number.c.authority == bindparam("of_authority"))
_AT_ONCE: Final = 500
"""Rows that one transaction deletes: others wait for it."""
_ROW: Final = (revoked_leaf.c.authority, revoked_leaf.c.serial)
_ENDED: Final = select(*_ROW).where(revoked_leaf.c.not_after <= bindparam("ended_before")).limit(_AT_ONCE)
_DELETE: Final = delete(revoked_leaf).where(tuple_(*_ROW).in_(_ENDED))


class CrlBook:
    """A CA is named by its `authority`. The calls may raise DatabaseBusyError."""

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

    async def revoked(self, authority: str) -> list[ListedLeaf]:
        """All that it revoked, expired ones, too, until they are pruned."""

        def look(connection: Connection) -> list[ListedLeaf]:
            return [_leaf_of(row) for row in connection.execute(_OF_AUTHORITY, {"of_authority": authority})]

        return await self._database.read(look)

    async def add(self, authority: str, leaf: ListedLeaf) -> Revocation | None:
        """Note that it is revoked; what was noted before stays, and is returned."""

        def store(connection: Connection) -> Revocation | None:
            serial = f"{leaf.serial:x}"
            found = connection.execute(_ONE, {"of_authority": authority, "of_serial": serial}).one_or_none()
            if found is not None:
                return revocation_of(found)
            named = {"authority": authority, "serial": serial, "not_after": leaf.not_after}
            connection.execute(insert(revoked_leaf), {**named, **revocation_row(leaf.revocation)})
            return None

        return await self._write(store)

    async def prune(self, *, ended_before: datetime) -> int:
        """Delete those whose leaf ended before, also of CAs that aren't configured any more; how many."""
        deleted = 0
        while True:
            more = await self._database.write(
                lambda connection: connection.execute(_DELETE, {"ended_before": ended_before}).rowcount,
                patience_s=NOBODY_WAITS_S,
            )
            deleted += more
            if more < _AT_ONCE:
                return deleted

    async def next_number(self, authority: str, *, above: int) -> int:
        """A number that no list of this CA had: it grows, also where the journal was restored from an older copy,
        and `above` is the number of what is published.
        """

        def count(connection: Connection) -> int:
            last: int | None = connection.execute(_NUMBER, {"of_authority": authority}).scalar_one_or_none()
            number = max(last or 0, above) + 1
            if last is None:
                connection.execute(insert(crl_number), {"authority": authority, "number": number})
            else:
                connection.execute(_COUNT, {"of_authority": authority, "number": number})
            return number

        return await self._write(count)

    async def _write(self, work: Callable[[Connection], ResultT]) -> ResultT:
        try:
            return await self._database.write(work)
        except IntegrityError:
            # Another host was quicker to insert the row.
            return await self._database.write(work)


def _leaf_of(row: Row[Any]) -> ListedLeaf:
    revocation = revocation_of(row)
    assert revocation is not None  # each row has one
    return ListedLeaf(int(row.serial, 16), revocation, row.not_after)
