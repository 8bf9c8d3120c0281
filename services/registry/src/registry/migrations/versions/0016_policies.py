"""Policies, the terms of requests and approvals, votes, and the places that only one certificate may have.

Of certificates that are there already, the places are taken from their intents; of two that hold one place, it is the
older one's, and both go on as before.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policy",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_policy")),
    )
    op.create_table(
        "vote",
        sa.Column("request_id", sa.String(length=36), nullable=False),
        sa.Column("person", sa.String(length=63), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["request.id"], name=op.f("fk_vote_request_id_request")),
        sa.PrimaryKeyConstraint("request_id", "person", name=op.f("pk_vote")),
    )
    op.create_table(
        "claim",
        sa.Column("key", sa.String(length=600), nullable=False),
        sa.Column("part", sa.String(length=63), nullable=False),
        sa.Column("certificate_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["certificate_id"], ["certificate.id"], name=op.f("fk_claim_certificate_id_certificate")
        ),
        sa.PrimaryKeyConstraint("key", "part", name=op.f("pk_claim")),
    )
    op.create_index(op.f("ix_claim_certificate_id"), "claim", ["certificate_id"])
    op.add_column("request", sa.Column("by_workload", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("request", sa.Column("terms", sa.JSON(), nullable=True))
    op.add_column("request", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_request_state_expires_at", "request", ["state", "expires_at"])
    op.execute("UPDATE request SET by_workload = (1 = 1) WHERE requester LIKE 'bus-%'")
    op.add_column("approval", sa.Column("policy_digest", sa.String(length=80), server_default="", nullable=False))
    op.add_column("approval", sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("approval", sa.Column("renewals_apart_s", sa.Integer(), nullable=True))
    op.create_index(op.f("ix_approval_ends_at"), "approval", ["ends_at"])
    _claim_places()


def _claim_places() -> None:
    connection = op.get_bind()
    row = sa.table(
        "certificate", sa.column("id"), sa.column("spec", sa.Text()), sa.column("state"), sa.column("created_at")
    )
    claim = sa.table("claim", sa.column("key"), sa.column("part"), sa.column("certificate_id"))
    active = row.c.state.not_in(["denied", "revoked", "retired"])
    held: dict[tuple[str, str], str] = {}
    for found in connection.execute(
        sa.select(row.c.id, row.c.spec).where(active).order_by(row.c.created_at, row.c.id)
    ):
        for place in _places(found.spec):
            held.setdefault(place, found.id)
    rows = [{"key": key, "part": part, "certificate_id": owner} for (key, part), owner in held.items()]
    for first in range(0, len(rows), 1000):
        connection.execute(sa.insert(claim), rows[first : first + 1000])


def _places(spec: Any) -> list[tuple[str, str]]:
    """Of an intent as it was stored, whatever it looks like."""
    if isinstance(spec, str):
        try:
            spec = json.loads(spec)
        except (ValueError, RecursionError):
            return []
    targets = spec.get("targets") if isinstance(spec, dict) else None
    found = []
    for target in targets if isinstance(targets, list) else ():
        if isinstance(target, dict) and target.get("kind") == "kubernetes":
            found += [
                (f"kubernetes/{target.get('site')}/{namespace}/{target.get('secret')}"[:600], str(cluster)[:63])
                for namespace in _items(target.get("namespaces"))
                for cluster in _items(target.get("clusters")) or ["*"]
            ]
    return found


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def downgrade() -> None:
    for column in ("renewals_apart_s", "ends_at", "policy_digest"):
        if column == "ends_at":
            op.drop_index(op.f("ix_approval_ends_at"), "approval")
        op.drop_column("approval", column)
    op.drop_index("ix_request_state_expires_at", "request")
    for column in ("expires_at", "terms", "by_workload"):
        op.drop_column("request", column)
    for table in ("claim", "vote", "policy"):
        op.drop_table(table)
