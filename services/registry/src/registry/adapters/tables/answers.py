"""Answers that were given, for whoever asks the same once more under the same key."""

from typing import Final

from sqlalchemy import Column, Index, Integer, String, Table, Text

from certkit.database import UtcDateTime
from registry.adapters.tables.schema import metadata

__all__ = ["kept_answer"]

kept_answer: Final = Table(
    "kept_answer",
    metadata,
    # Hashes: of whose it is, with what was called and the key; of whose it is alone; and of what was sent.
    Column("scope", String(64), primary_key=True),
    Column("principal", String(64), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("location", String(255), nullable=False),
    Column("kept_at", UtcDateTime, nullable=False),
    Index("ix_kept_answer_kept_at", "kept_at"),
    Index("ix_kept_answer_principal_kept_at", "principal", "kept_at"),
)
