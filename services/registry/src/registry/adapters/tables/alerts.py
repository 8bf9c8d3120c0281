"""Findings and their state."""

from typing import Final

from sqlalchemy import Column, Index, String, Table, Text

from certkit.database import UtcDateTime
from registry.adapters.tables.schema import metadata

__all__ = ["alert"]

alert: Final = Table(
    "alert",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("owner", String(63), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("summary", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    Column("source", String(128), nullable=False),
    Column("certificate_id", String(64)),
    Column("certificate_name", String(63)),
    Column("url", String(300)),
    Column("acknowledged_by", String(127)),
    Index("ix_alert_since", "since", "id"),
    Index("ix_alert_owner_since", "owner", "since", "id"),
)

for state, where in (("open", alert.c.resolved_at.is_(None)), ("resolved", alert.c.resolved_at.is_not(None))):
    for name, columns in (("since", ("since", "id")), ("owner_since", ("owner", "since", "id"))):
        Index(
            f"ix_alert_{state}_{name}",
            *(alert.c[column] for column in columns),
            sqlite_where=where,
            postgresql_where=where,
        )
