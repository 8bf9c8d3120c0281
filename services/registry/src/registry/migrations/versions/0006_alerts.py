"""Alerts and their state; what services say of their start and readiness; when the registry itself ran."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("owner", sa.String(length=63), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.Column("resolved_at", _INSTANT, nullable=True),
        sa.Column("source", sa.String(length=128), nullable=False),
        sa.Column("certificate_id", sa.String(length=64), nullable=True),
        sa.Column("certificate_name", sa.String(length=63), nullable=True),
        sa.Column("url", sa.String(length=300), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=127), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    op.create_index("ix_alert_open", "alert", ["resolved_at", "owner"])
    op.create_index("ix_alert_since", "alert", ["since", "id"])
    op.create_table(
        "run",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("stopped_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_run")),
    )
    for column in (
        sa.Column("started", _INSTANT, nullable=True),
        sa.Column("not_ready", sa.Text(), nullable=True),
        sa.Column("not_ready_since", _INSTANT, nullable=True),
        sa.Column("restarted_at", _INSTANT, nullable=True),
        sa.Column("heard_before", _INSTANT, nullable=True),
    ):
        op.add_column("service", column)
    # Answers were in one stream for all owners when these were written.
    owner = (
        "substr(subject, 14, instr(substr(subject, 14), '.') - 1)"
        if op.get_bind().dialect.name == "sqlite"
        else "split_part(subject, '.', 3)"
    )
    op.execute(f"UPDATE event SET stream = 'ANSWERS_' || {owner} WHERE subject LIKE 'certs.answer.%'")  # noqa: S608 # ours
