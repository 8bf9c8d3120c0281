"""What is left of each CA's limits, and who waits for it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "budget_bucket",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("scope", sa.String(500), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("full_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lessons", sa.Integer(), nullable=False),
        sa.Column("taught_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_budget_bucket"),
    )
    op.create_index("ix_budget_bucket_full_at", "budget_bucket", ["full_at"])
    op.create_table(
        "budget_ticket",
        sa.Column("job", sa.String(200), nullable=False),
        sa.Column("attempt", sa.String(64), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken", sa.JSON(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("waits_for", sa.String(64), nullable=True),
        sa.Column("place", sa.String(240), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("job", name="pk_budget_ticket"),
    )
    op.create_index("ix_budget_ticket_at", "budget_ticket", ["at"])
    waiting = sa.text("not_before IS NOT NULL")
    op.create_index(
        "ix_budget_ticket_line",
        "budget_ticket",
        ["waits_for", "place", "not_before"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )


def downgrade() -> None:
    op.drop_table("budget_ticket")
    op.drop_table("budget_bucket")
