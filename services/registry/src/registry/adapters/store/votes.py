"""Rows of votes: who approved a request that needs several approvals, or one."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, insert, select

from certcore.policy.quorum import Approver
from registry.adapters import tables

__all__ = ["Votes"]


class Votes:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, request_id: str, approver: Approver, *, now: datetime) -> None:
        values = {"request_id": request_id, "person": approver.person, "groups": sorted(approver.groups)}
        self._connection.execute(insert(tables.vote).values(**values, given_at=now))

    def given_to(self, request_ids: Collection[str]) -> dict[str, list[Approver]]:
        """As `given`, of many requests; those without a vote are left out."""
        row, found = tables.vote, dict[str, list[Approver]]()
        query = select(row).where(row.c.request_id.in_(request_ids)).order_by(row.c.given_at, row.c.person)
        for item in self._connection.execute(query):
            found.setdefault(item.request_id, []).append(Approver(item.person, frozenset(item.groups or ())))
        return found

    def given(self, request_id: str) -> list[Approver]:
        """In the order in which they were given."""
        return self.given_to([request_id]).get(request_id, [])
