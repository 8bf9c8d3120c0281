"""When and why each certificate is renewed next, kept in its row; and which renewals were ordered lately.

What is planned of certificates that are there already is found by the round that follows a change of the policy.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ordered_renewal",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("owner", sa.String(length=63), nullable=False),
        sa.Column("ordered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_ordered_renewal")),
    )
    op.create_index("ix_ordered_renewal_ordered_at_owner", "ordered_renewal", ["ordered_at", "owner"])
    op.create_index(
        "ix_ordered_renewal_owner_by_hand_ordered_at", "ordered_renewal", ["owner", "by_hand", "ordered_at"]
    )
    op.add_column("certificate", sa.Column("renewal_reason", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "certificate",
        sa.Column(
            "renews_at",
            sa.DateTime(timezone=True),
            server_default="9999-12-31 00:00:00.000000",
            nullable=False,
        ),
    )
    op.create_index("ix_certificate_renews_at_name", "certificate", ["renews_at", "name"])
    op.add_column("certificate", sa.Column("renew_by", sa.DateTime(timezone=True), nullable=True))
    op.add_column("certificate", sa.Column("ordered_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_certificate_renew_by"), "certificate", ["renew_by"])
    op.add_column("policy", sa.Column("planned_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("policy", "planned_at")
    op.drop_index(op.f("ix_certificate_renew_by"), "certificate")
    op.drop_index("ix_certificate_renews_at_name", "certificate")
    for column in ("ordered_at", "renew_by", "renews_at", "renewal_reason"):
        op.drop_column("certificate", column)
    op.drop_table("ordered_renewal")
