"""An account is kept with its key."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A row without a key stays one: its key is in a file, and is taken into it at the next start.
    with op.batch_alter_table("acme_account") as batch:
        batch.alter_column("url", existing_type=sa.Text(), nullable=True)
        batch.add_column(sa.Column("key_thumbprint", sa.String(length=64), nullable=True))
        batch.add_column(sa.Column("sealed_key", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("an account key doesn't come back out of the journal")
