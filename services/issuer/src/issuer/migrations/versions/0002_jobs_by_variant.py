"""Jobs by variant, with the reason of their last failure.

What an issuer of before stored stays as it is: its sealed keys have no key id, its issue orders no variant, and both
are still read.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEY = ["certificate_id", "revision", "variant"]
_REFERENCE = "fk_challenge_certificate_id_revision_job"
_NEW_REFERENCE = "fk_challenge_certificate_id_revision_variant_job"
# What the text of a problem began with, until now.
_REASONS = (
    "ca_unreachable",
    "ca_trouble",
    "ca_refused",
    "rate_limited",
    "order_invalid",
    "order_lost",
    "order_unanswered",
    "order_stalled",
    "order_slow",
    "certificate_unfit",
    "solver_unreachable",
    "registry_unreachable",
    "registry_refused",
    "unknown_ca",
    "no_challenge",
    "recipient_unfit",
    "unforeseen",
)


def upgrade() -> None:
    # The reference goes first: SQLite copies a table that it changes, and none may refer to it meanwhile.
    with op.batch_alter_table("challenge") as batch:
        batch.drop_constraint(_REFERENCE, type_="foreignkey")
    for table in ("job", "challenge"):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("variant", sa.String(length=63), nullable=False, server_default="platform"))
            if table == "job":
                batch.add_column(sa.Column("reason", sa.String(length=32), nullable=True))
                batch.alter_column("order", new_column_name="issue_order")
    job = sa.table("job", sa.column("reason"), sa.column("problem"))
    for reason in _REASONS:
        op.execute(job.update().where(job.c.problem.startswith(f"{reason}:", autoescape=True)).values(reason=reason))
    with op.batch_alter_table("job") as batch:
        batch.drop_constraint("pk_job", type_="primary")
        batch.create_primary_key("pk_job", _KEY)
        batch.alter_column("variant", server_default=None)
    with op.batch_alter_table("challenge") as batch:
        batch.drop_constraint("pk_challenge", type_="primary")
        batch.create_primary_key("pk_challenge", [*_KEY, "url"])
        batch.create_foreign_key(_NEW_REFERENCE, "job", _KEY, _KEY)
        batch.alter_column("variant", server_default=None)


def downgrade() -> None:
    raise RuntimeError("two variants of a revision have no place in the schema of before")
