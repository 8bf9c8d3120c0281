"""Rows of approvals."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select

from certkit.prepared import Prepared
from registry.adapters import tables
from registry.adapters.store.statements import OfIds
from registry.domain.certificate import Approval

__all__ = ["Approvals"]


_ADD: Final = Prepared(insert(tables.approval))
_BY_ID: Final = Prepared(select(tables.approval).where(tables.approval.c.id == bindparam("approval_id")))

_HASHES: Final = OfIds((tables.approval.c.id, tables.approval.c.spec_hash), tables.approval.c.id)


class Approvals:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, approval: Approval) -> None:
        _ADD.change(self._connection, asdict(approval))

    def get(self, approval_id: str | None) -> Approval | None:
        if approval_id is None:
            return None
        for found in _BY_ID.rows(self._connection, {"approval_id": approval_id}):
            return Approval(**{**found._asdict(), "approved_by": tuple(found.approved_by or ())})
        return None

    def hashes(self, approval_ids: Iterable[str | None]) -> dict[str | None, str]:
        """What each approval covers, by its id."""
        ids = [approval_id for approval_id in approval_ids if approval_id is not None]
        return {found.id: found.spec_hash for found in _HASHES.rows(self._connection, ids)} if ids else {}
