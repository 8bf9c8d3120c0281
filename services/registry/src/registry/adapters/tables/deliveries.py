"""Where revisions are wanted, held and seen."""

from typing import Final

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from certkit.database import StoredJson, UtcDateTime
from registry.adapters.tables.schema import ID, metadata

__all__ = ["endpoint", "placement", "probe_worker"]

placement: Final = Table(
    "placement",
    metadata,
    Column("certificate_id", ID, ForeignKey("certificate.id"), primary_key=True),
    Column("target", String(63), primary_key=True),
    Column("place", String(63), nullable=False),
    Column("service", String(16), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("variant", String(63), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("action", String(16), nullable=False),
    Column("wanted", Integer),
    Column("ordered_at", UtcDateTime),
    Column("held", Integer),
    Column("held_generation", BigInteger),
    Column("failed_generation", BigInteger),
    Column("failure", Text, nullable=False),
    Column("next_try", UtcDateTime),
    Column("step", Text, nullable=False),
    Index("ix_placement_place_service", "place", "service", "certificate_id"),
    # All that is counted of a site's placements: they are not read for it.
    Index("ix_placement_counted", "place", "action", "wanted", "held", "generation", "held_generation"),
)

endpoint: Final = Table(
    "endpoint",
    metadata,
    Column("certificate_id", ID, ForeignKey("certificate.id"), primary_key=True),
    Column("url", String(300), primary_key=True),
    Column("target", String(63)),
    Column("verdict", String(32)),
    Column("served_revision", Integer),
    Column("served_fingerprint_sha256", String(64)),
    Column("detail", Text, nullable=False),
    Column("addresses", StoredJson, nullable=False),
    Column("observed_at", UtcDateTime),
    Column("in_a_row", Integer),
    Column("proven", Integer, nullable=False),
    Column("looked_at", UtcDateTime),
)

probe_worker: Final = Table(
    "probe_worker",
    metadata,
    Column("place", String(63), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("started", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime, nullable=False),
    Column("period_s", Float, nullable=False),
    Column("looked", Integer, nullable=False),
    Column("missed", StoredJson, nullable=False),
)
