"""The registry's schema; migrations/versions brings it to a database."""

from typing import Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from certkit.database import NAMING, SEQUENCE, UtcDateTime

metadata: Final = MetaData(naming_convention=NAMING)


_ID: Final = String(36)

certificate: Final = Table(
    "certificate",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("owner", String(63), nullable=False, index=True),
    Column("requester", String(127), nullable=False),
    Column("exposure", String(16), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("spec_hash", String(64), nullable=False),
    Column("state", String(32), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("state_since", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ordered", Integer, nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("proven", Integer, nullable=False),
    Column("approval_id", _ID),
    Column("next_try", UtcDateTime),
    Column("traceparent", String(64)),
)

request: Final = Table(
    "request",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("certificate_id", _ID, ForeignKey("certificate.id"), nullable=False, index=True),
    Column("requester", String(127), nullable=False),
    Column("owner", String(63), nullable=False, index=True),
    Column("spec", JSON, nullable=False),
    Column("spec_hash", String(64), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("traceparent", String(64)),
    Column("decided_by", String(63)),
    Column("decided_at", UtcDateTime),
)

approval: Final = Table(
    "approval",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("certificate_id", _ID, ForeignKey("certificate.id"), nullable=False, index=True),
    Column("request_id", _ID, ForeignKey("request.id"), nullable=False),
    Column("spec_hash", String(64), nullable=False),
    Column("approved_by", JSON, nullable=False),
    Column("policy", String(64), nullable=False),
    Column("granted_at", UtcDateTime, nullable=False),
)

revision: Final = Table(
    "revision",
    metadata,
    Column("certificate_id", _ID, ForeignKey("certificate.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("variant", String(63), primary_key=True),
    Column("serial", String(64), nullable=False, index=True),
    Column("fingerprint_sha256", String(64), nullable=False, unique=True),
    Column("spki_sha256", String(64), nullable=False, index=True),
    Column("not_before", UtcDateTime, nullable=False),
    Column("not_after", UtcDateTime, nullable=False, index=True),
    Column("chain_pem", Text, nullable=False),
    Column("stored_at", UtcDateTime, nullable=False),
    Column("ca", String(63), nullable=False),
    Column("validation_method", String(32), nullable=False),
    Column("ari_id", Text),
    Column("announced", Boolean, nullable=False),
)

bundle: Final = Table(
    "bundle",
    metadata,
    Column("certificate_id", _ID, ForeignKey("certificate.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("recipient", String(127), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

delivery: Final = Table(
    "delivery",
    metadata,
    Column("certificate_id", _ID, ForeignKey("certificate.id"), primary_key=True),
    Column("target", String(63), primary_key=True),
    Column("site", String(63), nullable=False, index=True),
    Column("service", String(16), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("revision", Integer),
    Column("failed_revision", Integer),
    Column("failure", Text, nullable=False),
    Column("next_try", UtcDateTime),
)

endpoint: Final = Table(
    "endpoint",
    metadata,
    Column("certificate_id", _ID, ForeignKey("certificate.id"), primary_key=True),
    Column("url", String(300), primary_key=True),
    Column("target", String(63)),
    Column("verdict", String(32)),
    Column("served_revision", Integer),
    Column("served_fingerprint_sha256", String(64)),
    Column("detail", Text, nullable=False),
    Column("addresses", JSON, nullable=False),
    Column("observed_at", UtcDateTime),
)

site: Final = Table(
    "site",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("enrolled_at", UtcDateTime, nullable=False),
    Column("last_heartbeat", UtcDateTime),
    Column("reviewed_at", UtcDateTime),
    Column("review", JSON),
)

recipient: Final = Table(
    "recipient",
    metadata,
    Column("name", String(127), primary_key=True),
    Column("site", String(63), ForeignKey("site.name"), nullable=False, index=True),
    Column("service", String(16), nullable=False),
    Column("public_key", String(64), nullable=False),
    UniqueConstraint("site", "service"),
)

token: Final = Table(
    "token",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("subject", String(63), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("roles", JSON, nullable=False),
    Column("site", String(63)),
    Column("service", String(16)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
)

event: Final = Table(
    "event",
    metadata,
    # The outbox and the log of events in one: what the registry publishes has sent_at empty until it was stored on
    # the bus; what others published and the registry heard (alerts) arrives with it.
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", String(128), nullable=False, unique=True),
    Column("type", String(128), nullable=False),
    Column("source", String(128), nullable=False),
    Column("stream", String(64), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("about", String(128), nullable=False),
    Column("time", UtcDateTime, nullable=False),
    Column("data", Text, nullable=False),
    Column("traceparent", String(64)),
    Column("sent_at", UtcDateTime),
    Index("ix_event_unsent", "sent_at", "sequence"),
)

inbox: Final = Table(
    "inbox",
    metadata,
    Column("source", String(255), primary_key=True),
    Column("event_id", String(255), primary_key=True),
    Column("handled_at", UtcDateTime, nullable=False),
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
)
