"""Every list and every round reads its page from an index, however many rows there are."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_BEFORE = (
    ("ix_certificate_owner", "certificate", ["owner"]),
    ("ix_certificate_health", "certificate", ["health"]),
    ("ix_certificate_due_at", "certificate", ["due_at"]),
    ("ix_request_owner", "request", ["owner"]),
    ("ix_request_state", "request", ["state"]),
    ("ix_alert_open", "alert", ["resolved_at", "owner"]),
)
_AFTER = (
    ("ix_certificate_owner_name", "certificate", ["owner", "name"]),
    ("ix_certificate_state_name", "certificate", ["state", "name"]),
    ("ix_certificate_health_name", "certificate", ["health", "name"]),
    ("ix_certificate_owner_state_name", "certificate", ["owner", "state", "name"]),
    ("ix_certificate_owner_health_name", "certificate", ["owner", "health", "name"]),
    ("ix_certificate_health_state_name", "certificate", ["health", "state", "name"]),
    ("ix_certificate_health_id", "certificate", ["health", "id"]),
    ("ix_certificate_due_at_id", "certificate", ["due_at", "id"]),
    ("ix_request_created_at_id", "request", ["created_at", "id"]),
    ("ix_request_owner_created_at_id", "request", ["owner", "created_at", "id"]),
    ("ix_request_state_created_at_id", "request", ["state", "created_at", "id"]),
    ("ix_request_owner_state_created_at_id", "request", ["owner", "state", "created_at", "id"]),
    ("ix_event_about", "event", ["about", "sequence"]),
    ("ix_alert_owner_since", "alert", ["owner", "since", "id"]),
    (
        "ix_placement_counted",
        "placement",
        ["place", "action", "wanted", "held", "generation", "held_generation"],
    ),
)
_BY_STATE = (
    ("open", sa.text("resolved_at IS NULL")),
    ("resolved", sa.text("resolved_at IS NOT NULL")),
)


def upgrade() -> None:
    for name, table, _ in _BEFORE:
        op.drop_index(name, table)
    for name, table, columns in _AFTER:
        op.create_index(name, table, columns)
    for state, where in _BY_STATE:
        for name, columns in (("since", ["since", "id"]), ("owner_since", ["owner", "since", "id"])):
            op.create_index(f"ix_alert_{state}_{name}", "alert", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for state, _ in _BY_STATE:
        for name in ("since", "owner_since"):
            op.drop_index(f"ix_alert_{state}_{name}", "alert")
    for name, table, _ in _AFTER:
        op.drop_index(name, table)
    for name, table, columns in _BEFORE:
        op.create_index(name, table, columns)
