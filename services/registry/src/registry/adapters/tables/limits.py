"""What is used of the CAs' limits."""

from typing import Final

from sqlalchemy import Column, Integer, Table, Text

from certkit.database import UtcDateTime
from registry.adapters.tables.schema import metadata

__all__ = ["ca_limits"]

ca_limits: Final = Table(
    "ca_limits",
    metadata,
    # One row: the newest report.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("report", Text, nullable=False),
)
