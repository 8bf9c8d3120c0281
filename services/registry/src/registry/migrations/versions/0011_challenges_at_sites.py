"""Answers to http-01 challenges that sites show for the issuer."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "challenge",
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("token", sa.String(200), nullable=False),
        sa.Column("host", sa.String(253), nullable=False),
        sa.Column("key_authorization", sa.String(244), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("shown_at", sa.DateTime(timezone=True)),
        sa.Column("looked_at", sa.DateTime(timezone=True)),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["site"], ["site.name"], name=op.f("fk_challenge_site_site")),
        sa.PrimaryKeyConstraint("site", "token", name=op.f("pk_challenge")),
        sa.UniqueConstraint("site", "slot", name=op.f("uq_challenge_site_slot")),
    )
    op.create_index(op.f("ix_challenge_expires_at"), "challenge", ["expires_at"])


def downgrade() -> None:
    op.drop_table("challenge")
