"""What a provider told of those whom it signed in, and the codes by which the command gets its session."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("token", sa.Column("groups", sa.JSON(), nullable=True))
    op.add_column("token", sa.Column("also", sa.JSON(), nullable=True))
    op.create_table(
        "login_code",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("challenge", sa.String(length=43), nullable=False),
        sa.Column("issuer", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("also", sa.JSON(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_login_code")),
    )


def downgrade() -> None:
    op.drop_table("login_code")
    with op.batch_alter_table("token") as batch:
        for name in ("groups", "also"):
            batch.drop_column(name)
