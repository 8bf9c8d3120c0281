"""Sites, what they were found to hold, and the services that run there."""

from typing import Final

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from certkit.database import StoredJson, UtcDateTime
from registry.adapters.tables.schema import NAME, metadata

__all__ = ["recipient", "run", "service", "site", "site_secret"]

site: Final = Table(
    "site",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("enrolled_at", UtcDateTime, nullable=False),
    Column("reviewed_at", UtcDateTime),
    # Of the review that is stored; empty while only a part of one is, or where an event brought it.
    Column("review_digest", String(64)),
    Column("unreachable", StoredJson, nullable=False, server_default="[]"),
)

site_secret: Final = Table(
    "site_secret",
    metadata,
    Column("site", String(63), ForeignKey("site.name"), primary_key=True),
    Column("cluster", NAME, primary_key=True),
    Column("namespace", NAME, primary_key=True),
    Column("secret", NAME, primary_key=True),
    # Far in the future where it isn't known.
    Column("ends", UtcDateTime, nullable=False),
    # The digest of the review that named it last.
    Column("review", String(64), nullable=False),
    Column("body", StoredJson, nullable=False),
    Index("ix_site_secret_site_ends", "site", "ends"),
)

recipient: Final = Table(
    "recipient",
    metadata,
    Column("name", String(127), primary_key=True),
    # A site, or the hub, which is none.
    Column("place", String(63), nullable=False, index=True),
    Column("service", String(16), nullable=False),
    Column("public_key", String(64), nullable=False),
    UniqueConstraint("place", "service"),
)

service: Final = Table(
    "service",
    metadata,
    Column("place", String(63), primary_key=True),
    Column("service", String(16), primary_key=True),
    Column("version", String(64)),
    Column("last_heartbeat", UtcDateTime, nullable=False),
    Column("kinds", StoredJson(none_as_null=True)),
    Column("contract", Integer),
    Column("started", UtcDateTime),
    Column("not_ready", Text),
    Column("not_ready_since", UtcDateTime),
    Column("restarted_at", UtcDateTime),
    Column("heard_before", UtcDateTime),
    Column("stood_still_s", Float),
    Column("stood_still_at", UtcDateTime),
)

run: Final = Table(
    "run",
    metadata,
    # A row without stopped_at when its host starts again: the run before was killed.
    Column("host", String(255), primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("stopped_at", UtcDateTime),
    Column("stood_still_s", Float),
    Column("stood_still_at", UtcDateTime),
)
