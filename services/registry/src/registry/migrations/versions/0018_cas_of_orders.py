"""The CAs that the orders of an approval name; of older ones the issuer chooses until the next renewal."""

import sqlalchemy as sa
from alembic import op

from certkit.database import StoredJson

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("approval", sa.Column("cas", StoredJson(none_as_null=True)))


def downgrade() -> None:
    op.drop_column("approval", "cas")
