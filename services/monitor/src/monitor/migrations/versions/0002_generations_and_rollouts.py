"""Expectations have generations and rollouts; alerts have a subject.

Before there were generations, an expectation wanted one revision after the other: its generation is that number.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ALERTS = {
    "certbus.alert.raised.v1": "certbus.alert.raised.v2",
    "certbus.alert.resolved.v1": "certbus.alert.resolved.v2",
}


def upgrade() -> None:
    expectation = _table("expectation", sa.column("certificate_id", sa.String()))
    for row in _rows(expectation):
        here = expectation.c.certificate_id == row.certificate_id
        op.execute(sa.update(expectation).where(here).values(body=_expected(row.body)))
    endpoint = _table("endpoint", sa.column("certificate_id", sa.String()), sa.column("url", sa.String()))
    for row in _rows(endpoint):
        here = (endpoint.c.certificate_id == row.certificate_id) & (endpoint.c.url == row.url)
        op.execute(sa.update(endpoint).where(here).values(body=_record(row.body)))
    announcement = _table(
        "announcement", sa.column("sequence", sa.BigInteger()), sa.column("event_type", sa.String())
    )
    for row in _rows(announcement):
        here = announcement.c.sequence == row.sequence
        # The event's id stays: the bus may have taken it already.
        changed = {"event_type": _ALERTS[row.event_type], "body": _alert(row.body)}
        op.execute(sa.update(announcement).where(here).values(changed))


def _table(name: str, *columns: sa.ColumnClause[Any]) -> sa.TableClause:
    return sa.table(name, *columns, sa.column("body", sa.JSON()))


def _rows(table: sa.TableClause) -> list[Any]:
    return list(op.get_bind().execute(sa.select(table)))


def _expected(body: dict[str, Any]) -> dict[str, Any]:
    event = body["event"]
    generation = event["wanted_revision"]
    wanted = [item for item in event["accepted"] if item["revision"] == generation]
    accepted = [item for item in event["accepted"] if item["revision"] != generation]
    return {
        "event": {
            "certificate_id": event["certificate_id"],
            "name": event["name"],
            "owner": event["owner"],
            "generation": generation,
            "endpoints": [{**endpoint, "wanted": wanted, "accepted": accepted} for endpoint in event["endpoints"]],
            "traceparent": event.get("traceparent"),
        },
        "rollouts": {
            endpoint["url"]: {"generation": generation, "since": body["since"]} for endpoint in event["endpoints"]
        },
    }


def _record(body: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in body.items() if name not in {"proven_revision", "episode"}}
    alert = body.get("alert")
    return {**kept, "proven_generation": body.get("proven_revision"), "alert": _alert(alert) if alert else None}


def _alert(body: dict[str, Any]) -> dict[str, Any]:
    """An open alert keeps the id under which it was raised until it is resolved."""
    return {**body, "subject": body["url"]}


def downgrade() -> None:
    raise NotImplementedError("what is known of generations has no place in the earlier schema")
