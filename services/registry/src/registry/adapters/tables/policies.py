"""What policy was and is, who approved on its terms, and the places that certificates hold."""

from typing import Final

from sqlalchemy import Column, ForeignKey, String, Table, Text

from certkit.database import SEQUENCE, StoredJson, UtcDateTime
from registry.adapters.tables.schema import ID, metadata

__all__ = ["claim", "policy", "vote"]

policy: Final = Table(
    "policy",
    metadata,
    # The newest holds.
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
    Column("digest", String(80), nullable=False),
    Column("document", Text, nullable=False),
    Column("kept_at", UtcDateTime, nullable=False),
    # Since when every certificate's next renewal is planned by it.
    Column("planned_at", UtcDateTime),
)

vote: Final = Table(
    "vote",
    metadata,
    Column("request_id", ID, ForeignKey("request.id"), primary_key=True),
    Column("person", String(63), primary_key=True),
    # The groups that the person was in then.
    Column("groups", StoredJson, nullable=False),
    Column("given_at", UtcDateTime, nullable=False),
)

claim: Final = Table(
    "claim",
    metadata,
    Column("key", String(600), primary_key=True),
    # `*`: all parts.
    Column("part", String(63), primary_key=True),
    Column("certificate_id", ID, ForeignKey("certificate.id"), nullable=False, index=True),
)
