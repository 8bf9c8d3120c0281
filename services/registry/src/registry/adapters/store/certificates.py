"""Rows of certificates."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import (
    Connection,
    Subquery,
    and_,
    bindparam,
    func,
    insert,
    select,
    update,
)

from certcore.api import CertificateState
from certcore.conditions import Condition, Health
from certcore.intent import Intent
from certcore.placements import Action
from certkit.prepared import Prepared
from registry.adapters import tables
from registry.adapters.store.facts import NEVER, add_facts, put_facts
from registry.adapters.store.statements import RowChangedError, known_or_text
from registry.domain.certificate import ENDED_STATES, Certificate
from registry.domain.overview import Overview

__all__ = ["Certificates", "Mark", "read_intent"]

_CONDITIONS = TypeAdapter(tuple[Condition, ...])

_EVER: Final = datetime(1, 1, 1, tzinfo=UTC)

_ROW: Final = tables.certificate
_BY_ID: Final = Prepared(select(_ROW).where(_ROW.c.id == bindparam("certificate_id")))
_BY_NAME: Final = Prepared(select(_ROW).where(_ROW.c.name == bindparam("name")))
_AMONG: Final = _ROW.c.id.in_(bindparam("ids", expanding=True))
_MANY: Final = select(_ROW).where(_AMONG).order_by(_ROW.c.id)
_UNJUDGED: Final = (
    select(*(column for column in _ROW.c if column.name != "conditions")).where(_AMONG).order_by(_ROW.c.id)
)
_MARKS: Final = (
    select(
        _ROW.c.id,
        _ROW.c.version,
        select(tables.epoch.c.number).scalar_subquery(),
        select(func.count()).where(tables.revision.c.certificate_id == _ROW.c.id).scalar_subquery(),
    )
    .where(_ROW.c.id > bindparam("known"))
    .order_by(_ROW.c.id)
    .limit(bindparam("most"))
)
_ADD: Final = Prepared(insert(_ROW))
_SAVE: Final = Prepared(
    update(_ROW).where(_ROW.c.id == bindparam("known_id"), _ROW.c.version == bindparam("known_version"))
)


class Mark(NamedTuple):
    """What changes with everything that is stored of a certificate and its rollout.

    Its version counts its saves; a copy that was restored counts on in a later epoch. A revision that is handed over
    saves no certificate.
    """

    certificate_id: str
    version: int
    epoch: int
    revisions: int


class Certificates:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, certificate: Certificate, spec: dict[str, Any]) -> None:
        """Store a certificate; `spec` is its intent as `certcore.certificate.stored` gives it."""
        values = _intent_values(certificate, spec) | {
            "id": certificate.id,
            "name": certificate.name,
            "owner": certificate.owner,
            "created_at": certificate.created_at,
            "version": certificate.version,
        }
        _ADD.change(self._connection, values)
        add_facts(self._connection, certificate.name, certificate.intent)

    def restate(self, certificate: Certificate, spec: dict[str, Any]) -> Certificate:
        """Save a certificate with another intent, in the form that `add` takes. Returns it with its new version.

        Raises:
            RowChangedError: somebody saved it since it was read.
        """
        saved = self._save(certificate, _intent_values(certificate, spec))
        put_facts(self._connection, certificate.name, certificate.intent)
        return saved

    def save(self, certificate: Certificate) -> Certificate:
        """Save what changes of a certificate; the intent stays as it was stored. Returns it with its new version.

        Raises:
            RowChangedError: somebody saved it since it was read.
        """
        return self._save(certificate, _values(certificate))

    def _save(self, certificate: Certificate, values: dict[str, Any]) -> Certificate:
        values |= {"version": certificate.version + 1}
        key = {"known_id": certificate.id, "known_version": certificate.version}
        if _SAVE.change(self._connection, values | key) != 1:
            raise RowChangedError(f"certificate {certificate.name} was changed at the same time")
        return replace(certificate, version=certificate.version + 1)

    def get(self, certificate_id: str) -> Certificate | None:
        return self._one(_BY_ID, {"certificate_id": certificate_id})

    def named(self, name: str) -> Certificate | None:
        return self._one(_BY_NAME, {"name": name})

    def form(self, certificate_id: str) -> dict[str, Any]:
        """Its intent as `certcore.certificate.stored` gave it."""
        query = select(_ROW.c.spec).where(_ROW.c.id == certificate_id)
        found: dict[str, Any] = self._connection.execute(query).scalar_one()
        return found

    def _one(self, query: Prepared, values: dict[str, str]) -> Certificate | None:
        for found in query.rows(self._connection, values):
            return _certificate(found, found.conditions)
        return None

    def ids(self, *, health: Health | None = None, after: str = "", limit: int) -> list[str]:
        """Ids, in their own order, of all certificates, or of those of one health."""
        row = tables.certificate
        query = select(row.c.id).where(row.c.id > after).order_by(row.c.id).limit(limit)
        if health is not None:
            query = query.where(row.c.health == health.value)
        return list((self._connection.execute(query)).scalars())

    def marks(self, *, among: Subquery | None = None, after: str, limit: int) -> list[Mark]:
        """By id, those after an id; `among` has the ids of those that are meant."""
        query = _MARKS if among is None else _MARKS.where(_ROW.c.id.in_(select(among.c.id)))
        return [Mark(*found) for found in self._connection.execute(query, {"known": after, "most": limit})]

    def expired(self, *, since: datetime | None, now: datetime) -> list[str]:
        """Ids of those that want a leaf somewhere whose end came since an instant (None: ever), but for those that
        are degraded already. The leaves that ended since then are looked at, and no others.
        """
        row, placement, revision = tables.certificate, tables.placement, tables.revision
        wanted = and_(
            placement.c.certificate_id == revision.c.certificate_id,
            placement.c.wanted == revision.c.number,
            placement.c.variant == revision.c.variant,
        )
        query = (
            select(row.c.id)
            .select_from(revision)
            .join(placement, wanted)
            .join(row, row.c.id == revision.c.certificate_id)
            .where(
                # Without a lower bound SQLite begins at the placements, all of them.
                revision.c.not_after > (since or _EVER),
                revision.c.not_after <= now,
                placement.c.action == Action.HOLD.value,
                row.c.health.not_in([Health.DEGRADED, Health.NONE]),
            )
            .distinct()
        )
        return list((self._connection.execute(query)).scalars())

    def many(self, certificate_ids: Iterable[str]) -> list[Certificate]:
        """By id."""
        found = self._connection.execute(_MANY, {"ids": list(certificate_ids)})
        return [_certificate(item, item.conditions) for item in found]

    def unjudged(self, certificate_ids: Iterable[str]) -> list[Certificate]:
        """As `many`, for whoever only shows what is wanted: without conditions, which cost as much to read as all
        else.
        """
        found = self._connection.execute(_UNJUDGED, {"ids": list(certificate_ids)})
        return [_certificate(item, ()) for item in found]

    def held_by(self, owner: str) -> int:
        """How many certificates a team has that are neither denied, revoked nor retired."""
        row = tables.certificate
        query = (
            select(func.count())
            .select_from(row)
            .where(row.c.owner == owner, row.c.state.not_in([state.value for state in ENDED_STATES]))
        )
        return self._connection.execute(query).scalar_one()

    def names(self, certificate_ids: Iterable[str]) -> dict[str, str]:
        row = tables.certificate
        query = select(row.c.id, row.c.name).where(row.c.id.in_(list(certificate_ids)))
        return {found.id: found.name for found in self._connection.execute(query)}


def read_intent(name: str, stored: Any) -> tuple[Intent, str | None]:
    """A stored intent, and why it can't be read, if so: then only its name is known, or a part of its lists."""
    try:
        intent = Intent.model_validate(stored)
    except ValidationError as error:
        places = [".".join(map(str, fault["loc"])) or "intent" for fault in error.errors(include_input=False)]
        return Intent(name=name), f"{', '.join(places)[:200]} of the stored intent can't be read"
    if intent.unreadable:
        places = [item.item for item in intent.unreadable]
        return intent, f"{', '.join(places)[:200]} of the stored intent can't be read"
    return intent, None


def _intent_values(certificate: Certificate, spec: dict[str, Any]) -> dict[str, Any]:
    return _values(certificate) | {
        "requester": certificate.requester,
        "exposure": str(certificate.intent.exposure),
        "key_algorithm": str(certificate.intent.key_algorithm),
        "spec": spec,
    }


def _values(certificate: Certificate) -> dict[str, Any]:
    return {
        "spec_hash": certificate.spec_hash,
        "state": str(certificate.state),
        "reason": certificate.reason,
        "state_since": certificate.state_since,
        "ordered": certificate.ordered,
        "generation": certificate.generation,
        "generation_floor": certificate.generation_floor,
        "approval_id": certificate.approval_id,
        "next_try": certificate.next_try,
        "traceparent": certificate.traceparent,
        "health": str(certificate.health),
        "health_reason": certificate.health_reason,
        "conditions": [condition.model_dump(mode="json") for condition in certificate.conditions],
        "due_at": certificate.due_at,
        "renews_at": certificate.due_at or NEVER,
        "renewal_reason": certificate.renewal_reason,
        "renew_by": certificate.renew_by,
        "ordered_at": certificate.ordered_at,
        "served_until": certificate.served_until or NEVER,
        "ca": certificate.ca,
        "shown_revision": certificate.overview.revision,
        "shown_not_after": certificate.overview.not_after,
        "targets_done": certificate.overview.targets_done,
        "targets_total": certificate.overview.targets_total,
        "endpoints_done": certificate.overview.endpoints_done,
        "endpoints_total": certificate.overview.endpoints_total,
    }


def _certificate(row: Any, conditions: Any) -> Certificate:
    intent, unreadable = read_intent(row.name, row.spec)
    state, health = known_or_text(CertificateState, row.state), known_or_text(Health, row.health)
    if not isinstance(state, CertificateState):
        unreadable = f"its state {row.state} is not known to this version"
    return Certificate(
        id=row.id,
        name=row.name,
        owner=row.owner,
        requester=row.requester,
        intent=intent,
        spec_hash=row.spec_hash,
        state=state,
        reason=row.reason,
        state_since=row.state_since,
        created_at=row.created_at,
        ordered=row.ordered,
        generation=row.generation,
        generation_floor=row.generation_floor,
        approval_id=row.approval_id,
        next_try=row.next_try,
        traceparent=row.traceparent,
        # What it was judged to be says nothing of what can't be read.
        health=health if unreadable is None else Health.UNKNOWN,
        health_reason=row.health_reason if unreadable is None else unreadable,
        conditions=_conditions(conditions),
        due_at=row.due_at,
        renewal_reason=row.renewal_reason,
        renew_by=row.renew_by,
        ordered_at=row.ordered_at,
        served_until=row.served_until if row.served_until < NEVER else None,
        ca=row.ca,
        overview=Overview(
            revision=row.shown_revision,
            not_after=row.shown_not_after,
            targets_done=row.targets_done,
            targets_total=row.targets_total,
            endpoints_done=row.endpoints_done,
            endpoints_total=row.endpoints_total,
        ),
        version=row.version,
        unreadable=unreadable,
    )


def _conditions(stored: Any) -> tuple[Condition, ...]:
    # They are derived: what can't be read is judged anew.
    try:
        return _CONDITIONS.validate_python(stored)
    except ValidationError:
        return ()
