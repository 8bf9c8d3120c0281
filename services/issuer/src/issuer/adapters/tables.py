"""The journal's schema; migrations/versions brings it to a database."""

from typing import Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

from certkit.database import NAMING, UtcDateTime

__all__ = [
    "account",
    "acme_order",
    "challenge",
    "crl_number",
    "job",
    "metadata",
    "registry_epoch",
    "renewal_window",
    "revoked_leaf",
]

metadata: Final = MetaData(naming_convention=NAMING)


account: Final = Table(
    "acme_account",
    metadata,
    Column("ca", String(63), primary_key=True),
    Column("directory_url", String(500), primary_key=True),
    Column("url", Text),
    # Both or none: an earlier version kept its key in a file.
    Column("key_thumbprint", String(64)),
    Column("sealed_key", LargeBinary),
)

job: Final = Table(
    "job",
    metadata,
    Column("certificate_id", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("variant", String(63), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("issue_order", JSON, nullable=False),
    Column("accepted_at", UtcDateTime, nullable=False),
    Column("traceparent", String(64)),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("ca", String(63)),
    Column("csr", LargeBinary),
    Column("spki_sha256", String(64), index=True),
    Column("sealed_keys", JSON(none_as_null=True)),
    Column("order_url", Text),
    Column("finalize_url", Text),
    Column("unanswered_since", UtcDateTime),
    Column("denied_since", UtcDateTime),
    Column("denials", Integer, nullable=False, server_default="0"),
    Column("finalize_sent_at", UtcDateTime),
    Column("chain_pem", Text),
    Column("validation_method", String(64), nullable=False),
    Column("abandoned", Integer, nullable=False),
    Column("lost", Integer, nullable=False, server_default="0"),
    Column("refusals", Integer, nullable=False),
    Column("setbacks", Integer, nullable=False),
    Column("wait_until", UtcDateTime),
    Column("given_up", Boolean, nullable=False),
    Column("reason", String(32)),
    Column("problem", Text),
    Column("problem_at", UtcDateTime),
    Column("report_at", UtcDateTime),
    Column("due_at", UtcDateTime, index=True),
    Column("lease_owner", String(64)),
    Column("lease_until", UtcDateTime),
    # Of the issue order: whose turn it takes.
    Column("owner", Text, nullable=False, server_default=""),
    Column("urgent", Boolean, nullable=False, server_default=false()),
    # As `ca`, and empty where there is none: its line.
    Column("line_ca", String(63), nullable=False, server_default=""),
    # Whether it waited for a time of its own: its line, too.
    Column("waited", Boolean, nullable=False, server_default=false()),
    Column("stored_at", UtcDateTime, index=True),
    Column("not_after", UtcDateTime, index=True),
    Column("revoked_at", UtcDateTime),
    Column("revocation_reason", String(32)),
)
# Only what is due: a journal holds many more jobs that are done.
Index(
    "ix_job_line",
    job.c.owner,
    job.c.line_ca,
    job.c.urgent,
    job.c.waited,
    job.c.due_at,
    sqlite_where=job.c.due_at.is_not(None),
    postgresql_where=job.c.due_at.is_not(None),
)

registry_epoch: Final = Table(
    "registry_epoch",
    metadata,
    # One row.
    Column("id", Integer, primary_key=True),
    Column("reported", Integer, nullable=False),
    # Counts attempts to write: SQLite leaves out a write that changes nothing.
    Column("attempts", Integer, nullable=False),
)

challenge: Final = Table(
    "challenge",
    metadata,
    Column("certificate_id", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("variant", String(63), primary_key=True),
    # Two jobs may have one: some CAs give a pending authorization to a second order for the same name.
    Column("url", String(500), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("identifier", String(255), nullable=False),
    Column("record_name", String(300), nullable=False, index=True),
    Column("record_value", String(300), nullable=False),
    Column("solver", String(63), nullable=False, server_default=""),
    Column("shown", Boolean, nullable=False, server_default=false()),
    ForeignKeyConstraint(
        ["certificate_id", "revision", "variant"], ["job.certificate_id", "job.revision", "job.variant"]
    ),
)

acme_order: Final = Table(
    "acme_order",
    metadata,
    # Two jobs may have one: some CAs give a pending order to whoever asks for the same names again.
    Column("url", Text, primary_key=True),
    # Of no row of `job`: an order outlives its job.
    Column("certificate_id", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("variant", String(63), primary_key=True),
    Column("ca", String(63), nullable=False),
    Column("account_url", Text, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("finalize_sent_at", UtcDateTime),
    Column("ended_at", UtcDateTime, index=True),
    Column("revoked_at", UtcDateTime),
    Column("revocation_reason", String(32)),
)

renewal_window: Final = Table(
    "renewal_window",
    metadata,
    # Of a job that is stored; it may be forgotten before its window is.
    Column("certificate_id", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("variant", String(63), primary_key=True),
    Column("ca", String(63), nullable=False),
    Column("ari_id", String(200), nullable=False),
    Column("not_after", UtcDateTime, nullable=False, index=True),
    # When the CA is asked, or until when a host has taken it to ask.
    Column("ask_at", UtcDateTime),
    Column("silences", Integer, nullable=False),
    # All but the URL, or none.
    Column("start", UtcDateTime),
    Column("end", UtcDateTime),
    Column("chosen", UtcDateTime),
    Column("answered_at", UtcDateTime),
    Column("explanation_url", Text),
    Column("changes", Integer, nullable=False),
    # Of the changes, those that the registry was told of, and in which of its epochs.
    Column("told", Integer, nullable=False),
    Column("told_epoch", Integer, nullable=False),
)
Index("ix_renewal_window_ask_at", renewal_window.c.ca, renewal_window.c.ask_at)

revoked_leaf: Final = Table(
    "revoked_leaf",
    metadata,
    # What the CAs that sign here revoked; also what no job knows any more. The CA is named by its public key.
    Column("authority", String(64), primary_key=True),
    # In hex.
    Column("serial", String(40), primary_key=True),
    Column("revoked_at", UtcDateTime, nullable=False),
    Column("revocation_reason", String(32), nullable=False),
    Column("not_after", UtcDateTime, nullable=False),
)

crl_number: Final = Table(
    "crl_number",
    metadata,
    Column("authority", String(64), primary_key=True),
    # The last one that was taken.
    Column("number", Integer, nullable=False),
)
