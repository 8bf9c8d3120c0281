"""The monitor's schema; migrations/versions brings it to a database."""

from typing import Final

from sqlalchemy import JSON, Column, MetaData, String, Table

from certkit.database import NAMING, SEQUENCE

__all__ = ["announcement", "endpoint", "expectation", "metadata", "registry"]

metadata: Final = MetaData(naming_convention=NAMING)

expectation: Final = Table(
    "expectation",
    metadata,
    Column("certificate_id", String(64), primary_key=True),
    Column("body", JSON, nullable=False),
)

endpoint: Final = Table(
    "endpoint",
    metadata,
    Column("certificate_id", String(64), primary_key=True),
    Column("url", String(300), primary_key=True),
    Column("body", JSON, nullable=False),
)

announcement: Final = Table(
    "announcement",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
    Column("event_id", String(64), nullable=False, unique=True),
    Column("event_type", String(128), nullable=False),
    Column("body", JSON, nullable=False),
)

registry: Final = Table(
    "registry",
    metadata,
    # One row, of the one registry.
    Column("name", String(16), primary_key=True),
    Column("body", JSON, nullable=False),
)
