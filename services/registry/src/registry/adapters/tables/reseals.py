"""What to look at: a recipient may be unable to open what it should hold of a certificate.

What is wanted follows from the bundles; a row without anything missing is deleted.
"""

from typing import Final

from sqlalchemy import Column, ForeignKey, String, Table

from certkit.database import UtcDateTime
from registry.adapters.tables.schema import metadata

__all__ = ["reseal"]

reseal: Final = Table(
    "reseal",
    metadata,
    Column("certificate_id", String(36), ForeignKey("certificate.id"), primary_key=True),
    Column("recipient", String(127), primary_key=True),
    Column("since", UtcDateTime, nullable=False),
)
