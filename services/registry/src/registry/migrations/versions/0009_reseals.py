"""Recipients that may be unable to open what they should hold."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reseal",
        sa.Column("certificate_id", sa.String(36), nullable=False),
        sa.Column("recipient", sa.String(127), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["certificate_id"], ["certificate.id"], name=op.f("fk_reseal_certificate_id_certificate")
        ),
        sa.PrimaryKeyConstraint("certificate_id", "recipient", name=op.f("pk_reseal")),
    )


def downgrade() -> None:
    op.drop_table("reseal")
