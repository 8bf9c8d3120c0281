"""Rows of approvals."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, update

from certkit.prepared import Prepared
from registry.adapters import tables
from registry.adapters.store.statements import OfIds
from registry.domain.certificate import ENDED_STATES, Approval

__all__ = ["Approvals"]


_ADD: Final = Prepared(insert(tables.approval))
_BY_ID: Final = Prepared(select(tables.approval).where(tables.approval.c.id == bindparam("approval_id")))

_MANY: Final = OfIds(tuple(tables.approval.c), tables.approval.c.id)
_HASHES: Final = OfIds((tables.approval.c.id, tables.approval.c.spec_hash), tables.approval.c.id)


class Approvals:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, approval: Approval) -> None:
        values = asdict(approval)
        apart = values.pop("renewals_apart")
        _ADD.change(self._connection, values | {"renewals_apart_s": int(apart.total_seconds()) if apart else None})

    def get(self, approval_id: str | None) -> Approval | None:
        if approval_id is None:
            return None
        for found in _BY_ID.rows(self._connection, {"approval_id": approval_id}):
            return _approval(found)
        return None

    def many(self, approval_ids: Iterable[str | None]) -> dict[str | None, Approval]:
        """By id."""
        ids = [approval_id for approval_id in approval_ids if approval_id is not None]
        return {found.id: _approval(found) for found in _MANY.rows(self._connection, ids)} if ids else {}

    def save_cas(self, approval: Approval) -> None:
        """Save the CAs that its orders name from now on."""
        row = tables.approval
        self._connection.execute(update(row).where(row.c.id == approval.id).values(cas=approval.cas))

    def ending(self, *, before: datetime) -> list[tuple[str, str, datetime]]:
        """Name, owner and end of each managed certificate whose approval ends before an instant, the first first."""
        row, of = tables.approval, tables.certificate
        query = (
            select(of.c.name, of.c.owner, row.c.ends_at)
            .join(of, of.c.approval_id == row.c.id)
            .where(row.c.ends_at < before, of.c.state.not_in([state.value for state in ENDED_STATES]))
            .order_by(row.c.ends_at, of.c.name)
        )
        return [(found.name, found.owner, found.ends_at) for found in self._connection.execute(query)]

    def hashes(self, approval_ids: Iterable[str | None]) -> dict[str | None, str]:
        """What each approval covers, by its id."""
        ids = [approval_id for approval_id in approval_ids if approval_id is not None]
        return {found.id: found.spec_hash for found in _HASHES.rows(self._connection, ids)} if ids else {}


def _approval(row: Any) -> Approval:
    values = row._asdict()
    apart = values.pop("renewals_apart_s")
    values["approved_by"] = tuple(row.approved_by or ())
    values["cas"] = tuple(row.cas) if row.cas is not None else None
    return Approval(**values, renewals_apart=timedelta(seconds=apart) if apart is not None else None)
