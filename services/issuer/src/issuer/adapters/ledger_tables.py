"""The ledger's schema: a row a bucket that isn't full, and a row a job that waits for one or took some."""

from typing import Final

from sqlalchemy import Boolean, Column, Index, Integer, String, Table

from certkit.database import StoredJson, UtcDateTime
from issuer.adapters.tables import metadata

__all__ = ["bucket", "metadata", "ticket"]

bucket: Final = Table(
    "budget_bucket",
    metadata,
    # Of scope, kind and name.
    Column("id", String(64), primary_key=True),
    Column("scope", String(500), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("name", String(255), nullable=False),
    Column("full_at", UtcDateTime, nullable=False, index=True),
    Column("lessons", Integer, nullable=False),
    Column("taught_at", UtcDateTime),
)

ticket: Final = Table(
    "budget_ticket",
    metadata,
    Column("job", String(200), primary_key=True),
    Column("attempt", String(64), nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False, index=True),
    # What it took: scope, kind, name, since when, whether the CA counts it only with the certificate.
    Column("taken", StoredJson, nullable=False),
    # Of one that waits: since when, for which bucket, its place in that line, and until when it was told to.
    Column("since", UtcDateTime),
    Column("waits_for", String(64)),
    Column("place", String(240)),
    Column("not_before", UtcDateTime),
)
# The line before a bucket, without a look at the rows.
Index(
    "ix_budget_ticket_line",
    ticket.c.waits_for,
    ticket.c.place,
    ticket.c.not_before,
    sqlite_where=ticket.c.not_before.is_not(None),
    postgresql_where=ticket.c.not_before.is_not(None),
)
