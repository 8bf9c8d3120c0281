"""Rows of requests."""

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from certcore.certificate import CertificateSpec
from registry.adapters import tables
from registry.domain.certificate import Request

__all__ = ["Requests"]


class Requests:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, request: Request) -> None:
        values = asdict(request) | {"spec": request.spec.model_dump(mode="json"), "kind": "new"}
        await self._connection.execute(insert(tables.request).values(values))

    async def save(self, request: Request) -> None:
        """Save the decision; what was asked for never changes."""
        row = tables.request
        await self._connection.execute(
            update(row)
            .where(row.c.id == request.id)
            .values(
                state=request.state,
                reason=request.reason,
                decided_by=request.decided_by,
                decided_at=request.decided_at,
            )
        )

    async def get(self, request_id: str) -> Request | None:
        row = tables.request
        found = (await self._connection.execute(select(row).where(row.c.id == request_id))).one_or_none()
        return _request(found) if found else None

    async def all(self, *, state: str | None = None) -> list[Request]:
        """Newest first; those in one state, where that is given."""
        row = tables.request
        query = select(row).order_by(row.c.created_at.desc(), row.c.id)
        if state is not None:
            query = query.where(row.c.state == state)
        return [_request(found) for found in await self._connection.execute(query)]


def _request(row: Row[Any]) -> Request:
    values = row._asdict()
    del values["kind"]
    values["spec"] = CertificateSpec.model_validate_json(json.dumps(values["spec"]))
    return Request(**values)
