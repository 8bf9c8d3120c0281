"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "expectation",
        sa.Column("certificate_id", sa.String(length=64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("certificate_id", name=op.f("pk_expectation")),
    )
    op.create_table(
        "endpoint",
        sa.Column("certificate_id", sa.String(length=64), nullable=False),
        sa.Column("url", sa.String(length=300), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("certificate_id", "url", name=op.f("pk_endpoint")),
    )
    op.create_table(
        "announcement",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("event_type", sa.String(length=128), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_announcement")),
        sa.UniqueConstraint("event_id", name=op.f("uq_announcement_event_id")),
    )


def downgrade() -> None:
    op.drop_table("announcement")
    op.drop_table("endpoint")
    op.drop_table("expectation")
