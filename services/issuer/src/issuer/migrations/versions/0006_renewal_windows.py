"""When the CA suggests to renew what was issued, and who was told."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "renewal_window",
        sa.Column("certificate_id", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("variant", sa.String(63), nullable=False),
        sa.Column("ca", sa.String(63), nullable=False),
        sa.Column("ari_id", sa.String(200), nullable=False),
        sa.Column("not_after", moment, nullable=False),
        sa.Column("ask_at", moment, nullable=True),
        sa.Column("silences", sa.Integer(), nullable=False),
        sa.Column("start", moment, nullable=True),
        sa.Column("end", moment, nullable=True),
        sa.Column("chosen", moment, nullable=True),
        sa.Column("answered_at", moment, nullable=True),
        sa.Column("explanation_url", sa.Text(), nullable=True),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.Column("told_epoch", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("certificate_id", "revision", "variant", name="pk_renewal_window"),
    )
    op.create_index("ix_renewal_window_ask_at", "renewal_window", ["ca", "ask_at"])
    op.create_index("ix_renewal_window_not_after", "renewal_window", ["not_after"])
    op.create_index("ix_job_stored_at", "job", ["stored_at"])


def downgrade() -> None:
    op.drop_index("ix_job_stored_at", table_name="job")
    op.drop_table("renewal_window")
