"""Every order at a CA has a row that outlives its job; an account is kept with its key; a line is of one CA, too."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_LINE = "ix_job_line"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.add_column("job", sa.Column("denied_since", moment, nullable=True))
    op.add_column("job", sa.Column("denials", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("job", sa.Column("finalize_sent_at", moment, nullable=True))
    op.add_column("job", sa.Column("lost", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("job", sa.Column("line_ca", sa.String(length=63), nullable=False, server_default=""))
    op.add_column("challenge", sa.Column("solver", sa.String(length=63), nullable=False, server_default=""))
    op.add_column("challenge", sa.Column("shown", sa.Boolean(), nullable=False, server_default=sa.false()))
    # A row without a key stays one: its key is in a file, and is taken into it at the next start.
    with op.batch_alter_table("acme_account") as batch:
        batch.alter_column("url", existing_type=sa.Text(), nullable=True)
        batch.add_column(sa.Column("key_thumbprint", sa.String(length=64), nullable=True))
        batch.add_column(sa.Column("sealed_key", sa.LargeBinary(), nullable=True))
    orders = op.create_table(
        "acme_order",
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("certificate_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("variant", sa.String(length=63), nullable=False),
        sa.Column("ca", sa.String(length=63), nullable=False),
        sa.Column("account_url", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("opened_at", moment, nullable=False),
        sa.Column("finalize_sent_at", moment, nullable=True),
        sa.Column("ended_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("url", "certificate_id", "revision", "variant", name="pk_acme_order"),
    )
    _carry_over(orders)
    op.create_index("ix_acme_order_state", "acme_order", ["state"])
    op.create_index("ix_acme_order_ended_at", "acme_order", ["ended_at"])
    due = sa.text("due_at IS NOT NULL")
    op.drop_index(_LINE, table_name="job")
    op.create_index(_LINE, "job", ["owner", "line_ca", "urgent", "due_at"], sqlite_where=due, postgresql_where=due)


def _carry_over(orders: sa.Table) -> None:
    job = sa.table(
        "job",
        *map(sa.column, ("certificate_id", "revision", "variant", "state", "ca", "order_url")),
        *map(sa.column, ("accepted_at", "stored_at", "finalize_sent_at", "line_ca")),
    )
    account = sa.table("acme_account", sa.column("ca"), sa.column("url"))
    op.execute(job.update().values(line_ca=sa.func.coalesce(job.c.ca, "")))
    # In this state a finalize may have been sent, and nobody noted when.
    op.execute(job.update().where(job.c.state == "finalizing").values(finalize_sent_at=job.c.accepted_at))
    ended = job.c.state.in_(("issued", "stored"))
    # The account, where there is only one that it can be.
    of_ca = sa.select(sa.func.min(account.c.url)).where(account.c.ca == job.c.ca).having(sa.func.count() == 1)
    rows = sa.select(
        job.c.order_url,
        job.c.certificate_id,
        job.c.revision,
        job.c.variant,
        sa.func.coalesce(job.c.ca, ""),
        sa.func.coalesce(of_ca.scalar_subquery(), ""),
        sa.case((ended, "issued"), else_="open"),
        job.c.accepted_at,
        job.c.finalize_sent_at,
        sa.case((ended, sa.func.coalesce(job.c.stored_at, job.c.accepted_at))),
    ).where(job.c.order_url.is_not(None))
    op.execute(orders.insert().from_select([column.name for column in orders.c], rows))


def downgrade() -> None:
    raise NotImplementedError("the schema of before has no place for the orders of jobs that are gone")
