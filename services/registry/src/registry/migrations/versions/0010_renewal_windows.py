"""A revision keeps when its CA suggests to renew it."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_INSTANTS = ("start", "end", "chosen", "answered_at", "held_until")


def upgrade() -> None:
    for name in _INSTANTS:
        op.add_column("revision", sa.Column(f"window_{name}", sa.DateTime(timezone=True), nullable=True))
    op.add_column("revision", sa.Column("window_explanation_url", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("revision") as batch:
        for name in (*_INSTANTS, "explanation_url"):
            batch.drop_column(f"window_{name}")
