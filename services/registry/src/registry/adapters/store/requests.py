"""Rows of requests."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from pydantic import JsonValue, TypeAdapter, ValidationError
from sqlalchemy import Connection, Row, insert, literal, select, tuple_, update

from certkit.database import UtcDateTime
from certkit.prepared import Prepared
from registry.adapters import tables
from registry.adapters.store.certificates import read_intent
from registry.adapters.store.statements import RowChangedError, is_among
from registry.domain.certificate import Request
from registry.domain.terms import Terms

__all__ = ["Requests"]


_ADD: Final = Prepared(insert(tables.request))
_TERMS: Final = TypeAdapter(Terms)


class Requests:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, request: Request, spec: dict[str, Any]) -> None:
        """Store a request; `spec` is its intent as `certcore.certificate.stored` gives it."""
        _ADD.change(
            self._connection,
            {
                "id": request.id,
                "kind": request.kind,
                "certificate_id": request.certificate_id,
                "name": request.name,
                "requester": request.requester,
                "owner": request.owner,
                "spec": spec,
                "spec_hash": request.spec_hash,
                "state": request.state,
                "reason": request.reason,
                "created_at": request.created_at,
                "traceparent": request.traceparent,
                "decided_by": request.decided_by,
                "decided_at": request.decided_at,
                "version": request.version,
                "by_workload": request.by_workload,
                "terms": _stored_terms(request.terms) if request.terms else None,
                "expires_at": request.expires_at,
            },
        )

    def save(self, request: Request) -> Request:
        """Save the decision; what was asked for never changes.

        Raises:
            RowChangedError: somebody decided since it was read.
        """
        row = tables.request
        saved = self._connection.execute(
            update(row)
            .where(row.c.id == request.id, row.c.version == request.version)
            .values(
                state=request.state,
                reason=request.reason,
                decided_by=request.decided_by,
                decided_at=request.decided_at,
                terms=_stored_terms(request.terms) if request.terms else None,
                version=request.version + 1,
            )
        )
        if saved.rowcount != 1:
            raise RowChangedError(f"request {request.id} was decided at the same time")
        return replace(request, version=request.version + 1)

    def get(self, request_id: str) -> Request | None:
        row = tables.request
        found = (self._connection.execute(select(row).where(row.c.id == request_id))).one_or_none()
        return _request(found) if found else None

    def of_certificate(self, certificate_id: str) -> Request | None:
        """The newest of a certificate."""
        row = tables.request
        query = select(row).where(row.c.certificate_id == certificate_id).order_by(row.c.created_at.desc()).limit(1)
        found = self._connection.execute(query).one_or_none()
        return _request(found) if found else None

    def page(
        self,
        *,
        after: tuple[datetime, str] | None = None,
        limit: int,
        owners: frozenset[str] | None = None,
        state: str | None = None,
    ) -> list[Request]:
        """Newest first, those that come after one with this instant and id."""
        row = tables.request
        place = (row.c.created_at, row.c.id)
        query = select(row).order_by(*(column.desc() for column in place)).limit(limit)
        if after is not None:
            instant, request_id = after
            query = query.where(tuple_(*place) < tuple_(literal(instant, UtcDateTime), request_id))
        if owners is not None:
            query = query.where(is_among(row.c.owner, owners))
        if state is not None:
            query = query.where(row.c.state == state)
        return [_request(found) for found in self._connection.execute(query)]

    def expired(self, *, now: datetime, after: tuple[datetime, str] | None, limit: int) -> list[tuple[datetime, str]]:
        """When and which waited until they expired, the longest first, those that come after one."""
        row = tables.request
        place = (row.c.expires_at, row.c.id)
        query = select(*place).where(row.c.state == "waiting", row.c.expires_at <= now).order_by(*place)
        if after is not None:
            instant, request_id = after
            query = query.where(tuple_(*place) > tuple_(literal(instant, UtcDateTime), request_id))
        return [(found.expires_at, found.id) for found in self._connection.execute(query.limit(limit))]

    def form(self, request_id: str) -> dict[str, Any]:
        """The intent that was requested, as `certcore.certificate.stored` gave it."""
        row = tables.request
        found: dict[str, Any] = self._connection.execute(
            select(row.c.spec).where(row.c.id == request_id)
        ).scalar_one()
        return found


def _request(row: Row[Any]) -> Request:
    values = row._asdict()
    intent, _ = read_intent(row.name, values.pop("spec"))
    return Request(intent=intent, terms=_read_terms(values.pop("terms")), **values)


def _stored_terms(terms: Terms) -> JsonValue:
    stored: JsonValue = _TERMS.dump_python(terms, mode="json")
    return stored


def _read_terms(stored: Any) -> Terms | None:
    """What can't be read asks for what was asked before there were terms: one approver."""
    try:
        return None if stored is None else _TERMS.validate_python(stored)
    except ValidationError:
        return None
