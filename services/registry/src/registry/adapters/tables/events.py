"""Outbox and inbox, and how far what is stored reaches."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from certkit.database import SEQUENCE, UtcDateTime
from registry.adapters.tables.schema import ID, metadata

__all__ = ["epoch", "event", "inbox", "stream_epoch"]

event: Final = Table(
    "event",
    metadata,
    # Outbox and log in one: sent_at is empty until the bus stored it; what others published (alerts) comes with it.
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", String(128), nullable=False, unique=True),
    Column("type", String(128), nullable=False),
    Column("source", String(128), nullable=False),
    Column("stream", String(80), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("about", String(128), nullable=False),
    Column("time", UtcDateTime, nullable=False),
    Column("data", Text, nullable=False),
    Column("traceparent", String(64)),
    Column("sent_at", UtcDateTime),
    # Whose turn it is to be published; one owner for all events about one thing.
    Column("owner", String(63), nullable=False),
    # How often it was ordered to be published again; part of its message id.
    Column("repeats", Integer, nullable=False),
    Index("ix_event_stream_subject", "stream", "subject", "sequence"),
    Index("ix_event_about", "about", "sequence"),
)

Index(
    "ix_event_unsent",
    event.c.stream,
    event.c.owner,
    event.c.sequence,
    event.c.repeats,
    sqlite_where=event.c.sent_at.is_(None),
    postgresql_where=event.c.sent_at.is_(None),
)

stream_epoch: Final = Table(
    "stream_epoch",
    metadata,
    Column("stream", String(80), primary_key=True),
    Column("created", String(40), nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    # When it was found to be lost; empty where all of it was published again.
    Column("lost_at", UtcDateTime),
)

inbox: Final = Table(
    "inbox",
    metadata,
    Column("source", String(255), primary_key=True),
    Column("event_id", String(255), primary_key=True),
    Column("handled_at", UtcDateTime, nullable=False, index=True),
)

epoch: Final = Table(
    "epoch",
    metadata,
    # One row, which the migration makes.
    Column("database_id", ID, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("began_at", UtcDateTime),
    Column("waiting", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
)
