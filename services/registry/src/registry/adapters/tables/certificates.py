"""What is wanted, asked for, approved and issued."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    false,
)

from certkit.database import SEQUENCE, StoredJson, UtcDateTime
from registry.adapters.tables.schema import ID, WORD, metadata

__all__ = [
    "approval",
    "bundle",
    "certificate",
    "certificate_fact",
    "ordered_renewal",
    "reported_revision",
    "request",
    "revision",
    "signing_request",
]

certificate: Final = Table(
    "certificate",
    metadata,
    Column("id", ID, primary_key=True),
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
    Column("approval_id", ID),
    Column("next_try", UtcDateTime),
    Column("traceparent", String(64)),
    Column("health", String(16), nullable=False),
    Column("health_reason", Text, nullable=False),
    Column("conditions", StoredJson, nullable=False),
    Column("due_at", UtcDateTime),
    # Of the lists: far in the future where nothing is due.
    Column("renews_at", UtcDateTime, nullable=False, server_default="9999-12-31 00:00:00.000000"),
    Column("renewal_reason", Text, nullable=False, server_default=""),
    Column("renew_by", UtcDateTime, index=True),
    Column("ordered_at", UtcDateTime),
    # Of the lists: far in the future while nothing is served.
    Column("served_until", UtcDateTime, nullable=False, server_default="9999-12-31 00:00:00.000000"),
    Column("ca", String(63), nullable=False, server_default=""),
    Column("shown_revision", Integer),
    Column("shown_not_after", UtcDateTime),
    Column("targets_done", Integer, nullable=False, server_default="0"),
    Column("targets_total", Integer, nullable=False, server_default="0"),
    Column("endpoints_done", Integer, nullable=False, server_default="0"),
    Column("endpoints_total", Integer, nullable=False, server_default="0"),
    Column("key_algorithm", String(32), nullable=False, server_default=""),
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
    Index("ix_certificate_exposure_name", "exposure", "name"),
    Index("ix_certificate_ca_name", "ca", "name"),
    Index("ix_certificate_key_algorithm_name", "key_algorithm", "name"),
    Index("ix_certificate_served_until_name", "served_until", "name"),
    Index("ix_certificate_owner_served_until_name", "owner", "served_until", "name"),
    Index("ix_certificate_renews_at_name", "renews_at", "name"),
    # All that lists test and count of a row: it is a fiftieth of the row, which holds documents.
    Index(
        "ix_certificate_listed",
        "name",
        "owner",
        "state",
        "health",
        "exposure",
        "ca",
        "key_algorithm",
        "served_until",
        "renews_at",
    ),
)

ordered_renewal: Final = Table(
    "ordered_renewal",
    metadata,
    # Of two days: how many there were lately.
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
    Column("owner", String(63), nullable=False),
    Column("ordered_at", UtcDateTime, nullable=False),
    Column("by_hand", Boolean, nullable=False),
    Index("ix_ordered_renewal_ordered_at_owner", "ordered_at", "owner"),
    Index("ix_ordered_renewal_owner_by_hand_ordered_at", "owner", "by_hand", "ordered_at"),
)

certificate_fact: Final = Table(
    "certificate_fact",
    metadata,
    # What a certificate is found by that has several values, by value, then by the certificate's name.
    Column("kind", String(8), primary_key=True),
    Column("value", WORD, primary_key=True),
    Column("name", String(63), ForeignKey("certificate.name"), primary_key=True),
    Index("ix_certificate_fact_name", "name", "kind", "value"),
    sqlite_with_rowid=False,
)

request: Final = Table(
    "request",
    metadata,
    Column("id", ID, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("certificate_id", ID, ForeignKey("certificate.id"), nullable=False, index=True),
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
    Column("by_workload", Boolean, nullable=False, server_default=false()),
    # Empty in those from before there were policies.
    Column("terms", StoredJson(none_as_null=True)),
    Column("expires_at", UtcDateTime),
    Index("ix_request_state_expires_at", "state", "expires_at"),
    Index("ix_request_created_at_id", "created_at", "id"),
    Index("ix_request_owner_created_at_id", "owner", "created_at", "id"),
    Index("ix_request_state_created_at_id", "state", "created_at", "id"),
    Index("ix_request_owner_state_created_at_id", "owner", "state", "created_at", "id"),
)

approval: Final = Table(
    "approval",
    metadata,
    Column("id", ID, primary_key=True),
    Column("certificate_id", ID, ForeignKey("certificate.id"), nullable=False, index=True),
    Column("request_id", ID, ForeignKey("request.id"), nullable=False),
    Column("spec_hash", String(80), nullable=False),
    Column("approved_by", StoredJson, nullable=False),
    Column("policy", String(64), nullable=False),
    Column("granted_at", UtcDateTime, nullable=False),
    Column("policy_digest", String(80), nullable=False, server_default=""),
    Column("ends_at", UtcDateTime, index=True),
    Column("renewals_apart_s", Integer),
    Column("cas", StoredJson(none_as_null=True)),
)

revision: Final = Table(
    "revision",
    metadata,
    Column("certificate_id", ID, ForeignKey("certificate.id"), primary_key=True),
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
    Column("certificate_id", ID, ForeignKey("certificate.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("variant", String(63), primary_key=True),
    Column("recipient", String(127), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", String(16)),
)

signing_request: Final = Table(
    "signing_request",
    metadata,
    Column("certificate_id", ID, ForeignKey("certificate.id"), primary_key=True),
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

reported_revision: Final = Table(
    "reported_revision",
    metadata,
    # Also of certificates that are unknown here.
    Column("certificate_id", ID, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("variant", String(63), primary_key=True),
    Column("serial", String(64), nullable=False),
    Column("fingerprint_sha256", String(64), nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("not_after", UtcDateTime, nullable=False),
)
