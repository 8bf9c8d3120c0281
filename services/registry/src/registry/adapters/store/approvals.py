"""Rows of approvals."""

from dataclasses import asdict

from sqlalchemy import Connection, insert, select

from registry.adapters import tables
from registry.domain.certificate import Approval

__all__ = ["Approvals"]


class Approvals:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, approval: Approval) -> None:
        self._connection.execute(insert(tables.approval).values(asdict(approval)))

    def get(self, approval_id: str | None) -> Approval | None:
        row = tables.approval
        found = (self._connection.execute(select(row).where(row.c.id == approval_id))).one_or_none()
        return Approval(**{**found._asdict(), "approved_by": tuple(found.approved_by)}) if found else None
