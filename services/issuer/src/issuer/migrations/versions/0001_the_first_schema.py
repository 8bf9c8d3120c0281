"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "acme_account",
        sa.Column("ca", sa.String(length=63), nullable=False),
        sa.Column("directory_url", sa.String(length=500), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("ca", "directory_url", name=op.f("pk_acme_account")),
    )
    op.create_table(
        "job",
        sa.Column("certificate_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("order", sa.JSON(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("traceparent", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("ca", sa.String(length=63), nullable=True),
        sa.Column("csr", sa.LargeBinary(), nullable=True),
        sa.Column("spki_sha256", sa.String(length=64), nullable=True),
        sa.Column("sealed_keys", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("order_url", sa.Text(), nullable=True),
        sa.Column("finalize_url", sa.Text(), nullable=True),
        sa.Column("unanswered_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("chain_pem", sa.Text(), nullable=True),
        sa.Column("validation_method", sa.String(length=64), nullable=False),
        sa.Column("abandoned", sa.Integer(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("setbacks", sa.Integer(), nullable=False),
        sa.Column("wait_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("given_up", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("problem_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("report_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("certificate_id", "revision", name=op.f("pk_job")),
    )
    op.create_index(op.f("ix_job_due_at"), "job", ["due_at"])
    op.create_index(op.f("ix_job_spki_sha256"), "job", ["spki_sha256"])
    op.create_table(
        "challenge",
        sa.Column("certificate_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("identifier", sa.String(length=255), nullable=False),
        sa.Column("record_name", sa.String(length=300), nullable=False),
        sa.Column("record_value", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(
            ["certificate_id", "revision"],
            ["job.certificate_id", "job.revision"],
            name=op.f("fk_challenge_certificate_id_revision_job"),
        ),
        sa.PrimaryKeyConstraint("certificate_id", "revision", "url", name=op.f("pk_challenge")),
    )
    op.create_index(op.f("ix_challenge_record_name"), "challenge", ["record_name"])


def downgrade() -> None:
    op.drop_table("challenge")
    op.drop_table("job")
    op.drop_table("acme_account")
