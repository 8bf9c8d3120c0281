"""The database gets an id and an epoch, by which an older copy of it is recognised and goes on.

A copy that was made before this has another id than its original: beside that one's anchors it counts as restored.
"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    epoch = op.create_table(
        "epoch",
        sa.Column("database_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("began_at", _INSTANT),
        sa.Column("waiting", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("database_id", name=op.f("pk_epoch")),
    )
    op.bulk_insert(epoch, [{"database_id": str(uuid.uuid4()), "number": 0, "waiting": False, "reason": ""}])
    op.add_column("certificate", sa.Column("generation_floor", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "reported_revision",
        sa.Column("certificate_id", sa.String(length=36), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("variant", sa.String(length=63), nullable=False),
        sa.Column("serial", sa.String(length=64), nullable=False),
        sa.Column("fingerprint_sha256", sa.String(length=64), nullable=False),
        sa.Column("not_before", _INSTANT, nullable=False),
        sa.Column("not_after", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("certificate_id", "revision", "variant", name=op.f("pk_reported_revision")),
    )
