"""Whose turn a job takes, how long its bundle is kept, and the epoch of the registry that was reported for."""

import sqlalchemy as sa
from alembic import op
from cryptography import x509

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MANY = 500


def upgrade() -> None:
    # An issue order of before has no owner: all of these are one line.
    op.add_column("job", sa.Column("owner", sa.Text(), nullable=False, server_default=""))
    op.add_column("job", sa.Column("urgent", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("job", sa.Column("stored_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("job", sa.Column("not_after", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_job_not_after", "job", ["not_after"])
    due = sa.text("due_at IS NOT NULL")
    op.create_index("ix_job_line", "job", ["owner", "urgent", "due_at"], sqlite_where=due, postgresql_where=due)
    epoch = op.create_table(
        "registry_epoch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reported", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_registry_epoch"),
    )
    op.execute(epoch.insert().values(id=1, reported=0, attempts=0))
    _date_what_is_stored()


def _date_what_is_stored() -> None:
    job = sa.table(
        "job",
        sa.column("certificate_id", sa.String),
        sa.column("revision", sa.Integer),
        sa.column("variant", sa.String),
        sa.column("state", sa.String),
        sa.column("chain_pem", sa.Text),
        sa.column("accepted_at", sa.DateTime(timezone=True)),
        sa.column("stored_at", sa.DateTime(timezone=True)),
        sa.column("not_after", sa.DateTime(timezone=True)),
    )
    key = sa.tuple_(job.c.certificate_id, job.c.revision, job.c.variant)
    connection = op.get_bind()
    connection.execute(job.update().where(job.c.state == "stored").values(stored_at=job.c.accepted_at))
    page = sa.select(*key.clauses, job.c.chain_pem).where(job.c.state == "stored", job.c.chain_pem.is_not(None))
    page = page.order_by(*key.clauses).limit(_MANY)
    last: tuple[object, ...] | None = None
    while rows := connection.execute(page if last is None else page.where(key > sa.tuple_(*last))).all():
        for row in rows:
            last = (row.certificate_id, row.revision, row.variant)
            not_after = _not_after(row.chain_pem)
            if not_after is not None:
                connection.execute(job.update().where(key == sa.tuple_(*last)).values(not_after=not_after))


def _not_after(chain_pem: str) -> object:
    """None of a chain that can't be read: it is neither handed over again nor forgotten."""
    try:
        return x509.load_pem_x509_certificate(chain_pem.encode()).not_valid_after_utc
    except ValueError:
        return None


def downgrade() -> None:
    raise NotImplementedError("a bundle that was forgotten doesn't come back")
