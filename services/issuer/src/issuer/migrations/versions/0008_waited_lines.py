"""What waited for a time of its own has a line beside what is begun for the first time."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_LINE = "ix_job_line"
_DUE = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("job", sa.Column("waited", sa.Boolean(), nullable=False, server_default=sa.false()))
    job = sa.table("job", sa.column("waited"), sa.column("wait_until"), sa.column("due_at"))
    timed = sa.and_(job.c.wait_until.is_not(None), job.c.due_at.is_not(None))
    op.execute(job.update().where(timed).values(waited=sa.true()))
    _replace_line(["owner", "line_ca", "urgent", "waited", "due_at"])


def downgrade() -> None:
    _replace_line(["owner", "line_ca", "urgent", "due_at"])
    op.drop_column("job", "waited")


def _replace_line(columns: list[str]) -> None:
    op.drop_index(_LINE, table_name="job")
    op.create_index(_LINE, "job", columns, sqlite_where=_DUE, postgresql_where=_DUE)
