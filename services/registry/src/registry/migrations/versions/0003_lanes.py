"""Events have an owner and can be published again; what is known of each stream."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("event", sa.Column("owner", sa.String(length=63), nullable=False, server_default=""))
    op.add_column("event", sa.Column("repeats", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE event SET owner = COALESCE((SELECT owner FROM certificate WHERE certificate.id = event.about), '')"
    )
    # Answers had no stream of their own at first.
    op.execute("UPDATE event SET stream = 'ANSWERS' WHERE subject LIKE 'certs.answer.%'")
    op.drop_index("ix_event_unsent", table_name="event")
    unsent = sa.text("sent_at IS NULL")
    op.create_index(
        "ix_event_unsent",
        "event",
        ["stream", "owner", "sequence", "repeats"],
        sqlite_where=unsent,
        postgresql_where=unsent,
    )
    op.create_index("ix_event_stream_subject", "event", ["stream", "subject", "sequence"])
    op.create_table(
        "stream_epoch",
        sa.Column("stream", sa.String(length=80), nullable=False),
        sa.Column("created", sa.String(length=40), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("lost_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_stream_epoch")),
    )
