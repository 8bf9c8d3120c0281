"""How long services, and the registry itself, stood still the last time."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TABLES = ("service", "run")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("stood_still_s", sa.Float(), nullable=True))
        op.add_column(table, sa.Column("stood_still_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "stood_still_at")
        op.drop_column(table, "stood_still_s")
