"""The registry's schema; migrations/versions brings it to a database."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
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

from certkit.database import NAMING, SEQUENCE, StoredJson, UtcDateTime

metadata: Final = MetaData(naming_convention=NAMING)

_ID: Final = String(36)

certificate: Final = Table(
    "certificate",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("owner", String(63), nullable=False),
    Column("requester", String(127), nullable=False),
    Column("exposure", String(16), nullable=False),
    Column("spec", StoredJson, nullable=False),
    Column("spec_hash", String(80), nullable=False),
    Column("state", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("state_since", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ordered", Integer, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("generation_floor", BigInteger, nullable=False),
    Column("approval_id", _ID),
    Column("next_try", UtcDateTime),
    Column("traceparent", String(64)),
    Column("health", String(16), nullable=False),
    Column("health_reason", Text, nullable=False),
    Column("conditions", StoredJson, nullable=False),
    Column("due_at", UtcDateTime),
    Column("version", Integer, nullable=False),
    Index("ix_certificate_state_id", "state", "id"),
    Index("ix_certificate_health_id", "health", "id"),
    Index("ix_certificate_due_at_id", "due_at", "id"),
    # Of the lists by name: one for each filter, and for two at once.
    Index("ix_certificate_owner_name", "owner", "name"),
    Index("ix_certificate_state_name", "state", "name"),
    Index("ix_certificate_health_name", "health", "name"),
    Index("ix_certificate_owner_state_name", "owner", "state", "name"),
    Index("ix_certificate_owner_health_name", "owner", "health", "name"),
    Index("ix_certificate_health_state_name", "health", "state", "name"),
)

request: Final = Table(
    "request",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("certificate_id", _ID, ForeignKey("certificate.id"), nullable=False, index=True),
    Column("requester", String(127), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("spec", StoredJson, nullable=False),
    Column("spec_hash", String(80), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("traceparent", String(64)),
    Column("decided_by", String(63)),
    Column("decided_at", UtcDateTime),
    Column("name", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_request_created_at_id", "created_at", "id"),
    Index("ix_request_owner_created_at_id", "owner", "created_at", "id"),
    Index("ix_request_state_created_at_id", "state", "created_at", "id"),
    Index("ix_request_owner_state_created_at_id", "owner", "state", "created_at", "id"),
)

approval: Final = Table(
    "approval",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("certificate_id", _ID, ForeignKey("certificate.id"), nullable=False, index=True),
    Column("request_id", _ID, ForeignKey("request.id"), nullable=False),
    Column("spec_hash", String(80), nullable=False),
    Column("approved_by", StoredJson, nullable=False),
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
    # All but the URL and what holds it up, or none.
    Column("window_start", UtcDateTime),
    Column("window_end", UtcDateTime),
    Column("window_chosen", UtcDateTime),
    Column("window_answered_at", UtcDateTime),
    Column("window_explanation_url", Text),
    Column("window_held_until", UtcDateTime),
)

bundle: Final = Table(
    "bundle",
    metadata,
    Column("certificate_id", _ID, ForeignKey("certificate.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("variant", String(63), primary_key=True),
    Column("recipient", String(127), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", String(16)),
)

signing_request: Final = Table(
    "signing_request",
    metadata,
    Column("certificate_id", _ID, ForeignKey("certificate.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("variant", String(63), primary_key=True),
    Column("target", String(63), nullable=False),
    Column("state", String(16), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("csr_pem", Text),
    Column("spki_sha256", String(64)),
    Column("failure", Text, nullable=False),
    Index("ix_signing_request_state_certificate_id", "state", "certificate_id"),
)

placement: Final = Table(
    "placement",
    metadata,
    Column("certificate_id", _ID, ForeignKey("certificate.id"), primary_key=True),
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
    Column("certificate_id", _ID, ForeignKey("certificate.id"), primary_key=True),
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

site: Final = Table(
    "site",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("enrolled_at", UtcDateTime, nullable=False),
    Column("reviewed_at", UtcDateTime),
    # Of the review that is stored; empty while only a part of one is, or where an event brought it.
    Column("review_digest", String(64)),
    Column("unreachable", StoredJson, nullable=False, server_default="[]"),
)

_NAME: Final = String(253)

site_secret: Final = Table(
    "site_secret",
    metadata,
    Column("site", String(63), ForeignKey("site.name"), primary_key=True),
    Column("cluster", _NAME, primary_key=True),
    Column("namespace", _NAME, primary_key=True),
    Column("secret", _NAME, primary_key=True),
    # Far in the future where it isn't known.
    Column("ends", UtcDateTime, nullable=False),
    # The digest of the review that named it last.
    Column("review", String(64), nullable=False),
    Column("body", StoredJson, nullable=False),
    Index("ix_site_secret_site_ends", "site", "ends"),
)

recipient: Final = Table(
    "recipient",
    metadata,
    Column("name", String(127), primary_key=True),
    # A site, or the hub, which is none.
    Column("place", String(63), nullable=False, index=True),
    Column("service", String(16), nullable=False),
    Column("public_key", String(64), nullable=False),
    UniqueConstraint("place", "service"),
)

service: Final = Table(
    "service",
    metadata,
    Column("place", String(63), primary_key=True),
    Column("service", String(16), primary_key=True),
    Column("version", String(64)),
    Column("last_heartbeat", UtcDateTime, nullable=False),
    Column("kinds", StoredJson(none_as_null=True)),
    Column("contract", Integer),
    Column("started", UtcDateTime),
    Column("not_ready", Text),
    Column("not_ready_since", UtcDateTime),
    Column("restarted_at", UtcDateTime),
    Column("heard_before", UtcDateTime),
    Column("stood_still_s", Float),
    Column("stood_still_at", UtcDateTime),
)

token: Final = Table(
    "token",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("subject", String(63), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("roles", StoredJson, nullable=False),
    Column("site", String(63)),
    Column("service", String(16)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
)

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

alert: Final = Table(
    "alert",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("owner", String(63), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("summary", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    Column("source", String(128), nullable=False),
    Column("certificate_id", String(64)),
    Column("certificate_name", String(63)),
    Column("url", String(300)),
    Column("acknowledged_by", String(127)),
    Index("ix_alert_since", "since", "id"),
    Index("ix_alert_owner_since", "owner", "since", "id"),
)

for state, where in (("open", alert.c.resolved_at.is_(None)), ("resolved", alert.c.resolved_at.is_not(None))):
    for name, columns in (("since", ("since", "id")), ("owner_since", ("owner", "since", "id"))):
        Index(
            f"ix_alert_{state}_{name}",
            *(alert.c[column] for column in columns),
            sqlite_where=where,
            postgresql_where=where,
        )

run: Final = Table(
    "run",
    metadata,
    # A row without stopped_at when its host starts again: the run before was killed.
    Column("host", String(255), primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("stopped_at", UtcDateTime),
    Column("stood_still_s", Float),
    Column("stood_still_at", UtcDateTime),
)

inbox: Final = Table(
    "inbox",
    metadata,
    Column("source", String(255), primary_key=True),
    Column("event_id", String(255), primary_key=True),
    Column("handled_at", UtcDateTime, nullable=False, index=True),
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

epoch: Final = Table(
    "epoch",
    metadata,
    # One row, which the migration makes.
    Column("database_id", _ID, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("began_at", UtcDateTime),
    Column("waiting", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
)

reported_revision: Final = Table(
    "reported_revision",
    metadata,
    # Also of certificates that are unknown here.
    Column("certificate_id", _ID, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("variant", String(63), primary_key=True),
    Column("serial", String(64), nullable=False),
    Column("fingerprint_sha256", String(64), nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("not_after", UtcDateTime, nullable=False),
)
