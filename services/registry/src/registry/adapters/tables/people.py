"""Who may call, and what was done."""

from typing import Final

from sqlalchemy import Column, Index, Integer, String, Table, Text, UniqueConstraint

from certkit.database import SEQUENCE, StoredJson, UtcDateTime
from registry.adapters.tables.schema import ID, metadata

__all__ = ["audit", "device_login", "login_code", "rights_change", "token"]

token: Final = Table(
    "token",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("id", String(32), nullable=False),
    Column("name", String(63), nullable=False),
    Column("issuer", String(255), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("subject", String(63), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("roles", StoredJson, nullable=False),
    Column("site", String(63)),
    Column("service", String(16)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("made_by", StoredJson, nullable=False),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("revoked_by", String(127)),
    Column("groups", StoredJson),
    Column("also", StoredJson),
    UniqueConstraint("id"),
    Index(None, "subject"),
    Index(None, "created_at", "id"),
)

login_code: Final = Table(
    "login_code",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("challenge", String(43), nullable=False),
    Column("issuer", String(255), nullable=False),
    Column("subject", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("groups", StoredJson, nullable=False),
    Column("also", StoredJson, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

device_login: Final = Table(
    "device_login",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("interval_s", Integer, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

rights_change: Final = Table(
    "rights_change",
    metadata,
    Column("id", ID, primary_key=True),
    Column("act", String(16), nullable=False),
    Column("subject", String(63), nullable=False),
    Column("roles", StoredJson, nullable=False),
    Column("asked_by", String(63), nullable=False),
    Column("issuer", String(255), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("token_order", StoredJson),
    Column("token_id", String(32)),
    Column("state", String(16), nullable=False),
    Column("decided_by", String(63)),
    Column("decided_at", UtcDateTime),
    Column("reason", Text, nullable=False),
    Column("made_id", String(32)),
    Index(None, "created_at", "id"),
    Index(None, "state", "expires_at"),
)

audit: Final = Table(
    "audit",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
    Column("time", UtcDateTime, nullable=False),
    Column("actor", String(127), nullable=False),
    Column("action", String(64), nullable=False),
    Column("object", String(255), nullable=False),
    Column("detail", Text, nullable=False),
    Column("chain", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("way", String(16), nullable=False),
    Column("roles", String(127), nullable=False),
    Column("previous", String(64)),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("chain", "number"),
    Index("ix_audit_object_sequence", "object", "sequence"),
)
"""Only appended to: triggers refuse every other change."""
