"""Answers to http-01 challenges at sites: a row from the issuer's order until its site said that it is gone."""

from typing import Final

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from certkit.database import UtcDateTime
from registry.adapters.tables.schema import metadata

__all__ = ["challenge"]

challenge: Final = Table(
    "challenge",
    metadata,
    Column("site", String(63), ForeignKey("site.name"), primary_key=True),
    Column("token", String(200), primary_key=True),
    Column("host", String(253), nullable=False),
    Column("key_authorization", String(244), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("action", String(16), nullable=False),
    # Where its site is told of it: its last subject token.
    Column("slot", Integer, nullable=False),
    Column("shown_at", UtcDateTime),
    Column("looked_at", UtcDateTime),
    Column("detail", Text, nullable=False),
    UniqueConstraint("site", "slot"),
)
