"""What was revoked: of jobs and their orders, and of CAs that sign here, whose lists are made of it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    for table in ("job", "acme_order"):
        op.add_column(table, sa.Column("revoked_at", moment, nullable=True))
        op.add_column(table, sa.Column("revocation_reason", sa.String(32), nullable=True))
    op.create_table(
        "revoked_leaf",
        sa.Column("authority", sa.String(64), nullable=False),
        sa.Column("serial", sa.String(40), nullable=False),
        sa.Column("revoked_at", moment, nullable=False),
        sa.Column("revocation_reason", sa.String(32), nullable=False),
        sa.Column("not_after", moment, nullable=False),
        sa.PrimaryKeyConstraint("authority", "serial", name="pk_revoked_leaf"),
    )
    op.create_table(
        "crl_number",
        sa.Column("authority", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("authority", name="pk_crl_number"),
    )


def downgrade() -> None:
    op.drop_table("crl_number")
    op.drop_table("revoked_leaf")
    for table in ("acme_order", "job"):
        op.drop_column(table, "revocation_reason")
        op.drop_column(table, "revoked_at")
