"""Whose a token is, who made it, and how it ends.

Tokens that are there keep working, without an end where they had none. The first token, `admin`, can make tokens as
before; other operators can't any more. Who made a token is taken from the audit, where that was noted.
"""

import hashlib
from collections import defaultdict

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_SERVICES = {"issuer", "deliverer", "monitor", "escrow"}


def upgrade() -> None:
    for column in (
        sa.Column("id", sa.String(32), nullable=False, server_default=""),
        sa.Column("name", sa.String(63), nullable=False, server_default=""),
        sa.Column("issuer", sa.String(255), nullable=False, server_default="registry"),
        sa.Column("kind", sa.String(16), nullable=False, server_default="person"),
        sa.Column("made_by", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_by", sa.String(127)),
    ):
        op.add_column("token", column)
    _fill()
    with op.batch_alter_table("token") as batch:
        batch.create_unique_constraint(op.f("uq_token_id"), ["id"])
    op.create_index(op.f("ix_token_subject"), "token", ["subject"])
    op.create_index(op.f("ix_token_created_at_id"), "token", ["created_at", "id"])


def _fill() -> None:
    token = sa.table(
        "token",
        *map(sa.column, ("sha256", "id", "name", "kind", "subject", "owner")),
        sa.column("roles", sa.JSON),
        sa.column("made_by", sa.JSON),
    )
    audit = sa.table("audit", *map(sa.column, ("actor", "action", "object")))
    makers = defaultdict(set)
    connection = op.get_bind()
    for actor, subject in connection.execute(
        sa.select(audit.c.actor, audit.c.object).where(audit.c.action == "make token")
    ):
        makers[subject].add(actor)
    for row in connection.execute(sa.select(token)).all():
        roles = list(row.roles or ())
        if row.subject == "admin" and "operator" in roles and "admin" not in roles:
            roles = sorted([*roles, "admin"])
        session = (row.subject, row.owner) == ("page", "page")
        kind = "session" if session else "service" if _SERVICES & set(roles) else "person"
        connection.execute(
            sa.update(token)
            .where(token.c.sha256 == row.sha256)
            .values(
                {
                    token.c.id: hashlib.sha256(f"certbus token {row.sha256}".encode()).hexdigest()[:32],
                    token.c.name: row.subject,
                    token.c.kind: kind,
                    token.c.roles: roles,
                    token.c.made_by: sorted(makers[row.subject] - {row.subject}),
                }
            )
        )


def downgrade() -> None:
    op.drop_index(op.f("ix_token_created_at_id"), table_name="token")
    op.drop_index(op.f("ix_token_subject"), table_name="token")
    with op.batch_alter_table("token") as batch:
        batch.drop_constraint(op.f("uq_token_id"), type_="unique")
        for name in ("id", "name", "issuer", "kind", "made_by", "last_used_at", "revoked_at", "revoked_by"):
            batch.drop_column(name)
