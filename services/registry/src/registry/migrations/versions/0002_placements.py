"""Placements with generations instead of deliveries; variants; health; services by their heartbeats.

What was wanted of a certificate becomes what is wanted of each of its targets. Its generation is the revision's
number, which is also what targets are taken to hold that were written before there were generations.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from certcore.certificate import approval_hash, stored
from certcore.door import RequestDoor
from certcore.rejection import RejectedError
from certcore.targets import FILES, HAPROXY, KUBERNETES, TargetKinds

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _certificates()
    _requests()
    _bundles()
    _placements()
    _endpoints()
    _places()
    _approval_hashes()


def _certificates() -> None:
    columns: list[sa.Column[Any]] = [
        sa.Column("generation", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("health", sa.String(length=16), nullable=False, server_default="progressing"),
        sa.Column("health_reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("conditions", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("version", sa.Integer(), nullable=False, server_default="0"),
    ]
    for column in columns:
        op.add_column("certificate", column)
    op.execute("UPDATE certificate SET generation = wanted")
    op.create_index(op.f("ix_certificate_health"), "certificate", ["health"])


def _requests() -> None:
    op.add_column("request", sa.Column("name", sa.String(length=63), nullable=False, server_default=""))
    op.add_column("request", sa.Column("version", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE request SET name = (SELECT name FROM certificate WHERE certificate.id = request.certificate_id)"
    )


def _bundles() -> None:
    # Nothing refers to bundles: SQLite may build the table anew for its wider key.
    with op.batch_alter_table("bundle", schema=None) as batch_op:
        batch_op.add_column(sa.Column("variant", sa.String(length=63), nullable=False, server_default="platform"))
        batch_op.add_column(sa.Column("key_id", sa.String(length=16)))
        batch_op.drop_constraint(op.f("pk_bundle"), type_="primary")
        batch_op.create_primary_key(op.f("pk_bundle"), ["certificate_id", "revision", "variant", "recipient"])
    op.create_table(
        "signing_request",
        sa.Column("certificate_id", sa.String(length=36), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("variant", sa.String(length=63), nullable=False),
        sa.Column("target", sa.String(length=63), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("csr_pem", sa.Text()),
        sa.Column("spki_sha256", sa.String(length=64)),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["certificate_id"], ["certificate.id"], name=op.f("fk_signing_request_certificate_id")
        ),
        sa.PrimaryKeyConstraint("certificate_id", "revision", "variant", name=op.f("pk_signing_request")),
    )


def _placements() -> None:
    op.create_table(
        "placement",
        sa.Column("certificate_id", sa.String(length=36), nullable=False),
        sa.Column("target", sa.String(length=63), nullable=False),
        sa.Column("place", sa.String(length=63), nullable=False),
        sa.Column("service", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("variant", sa.String(length=63), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("wanted", sa.Integer()),
        sa.Column("ordered_at", _INSTANT),
        sa.Column("held", sa.Integer()),
        sa.Column("held_generation", sa.BigInteger()),
        sa.Column("failed_generation", sa.BigInteger()),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.Column("next_try", _INSTANT),
        sa.Column("step", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["certificate_id"], ["certificate.id"], name=op.f("fk_placement_certificate_id")),
        sa.PrimaryKeyConstraint("certificate_id", "target", name=op.f("pk_placement")),
    )
    op.create_index("ix_placement_place_service", "placement", ["place", "service"])
    op.execute(
        "INSERT INTO placement (certificate_id, target, place, service, kind, variant, generation, action, wanted,"
        " ordered_at, held, held_generation, failed_generation, failure, next_try, step)"
        " SELECT d.certificate_id, d.target, d.site, d.service, d.kind, 'platform', c.wanted, 'hold',"
        " CASE WHEN c.wanted > 0 THEN c.wanted END, c.state_since, d.revision, d.revision, d.failed_revision,"
        " d.failure, d.next_try, ''"
        " FROM delivery d JOIN certificate c ON c.id = d.certificate_id"
    )
    op.drop_table("delivery")


def _endpoints() -> None:
    op.add_column("endpoint", sa.Column("in_a_row", sa.Integer()))
    op.add_column("endpoint", sa.Column("proven", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("endpoint", sa.Column("looked_at", _INSTANT))
    # Live was a certificate whose every endpoint had been seen serving it.
    op.execute(
        "UPDATE endpoint SET proven = (SELECT proven FROM certificate WHERE certificate.id = endpoint.certificate_id)"
    )
    op.execute(
        "UPDATE endpoint SET proven = served_revision WHERE verdict = 'wanted' AND served_revision IS NOT NULL"
    )
    op.drop_column("certificate", "wanted")
    op.drop_column("certificate", "proven")
    op.create_table(
        "probe_worker",
        sa.Column("place", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("started", _INSTANT, nullable=False),
        sa.Column("ended", _INSTANT, nullable=False),
        sa.Column("period_s", sa.Float(), nullable=False),
        sa.Column("looked", sa.Integer(), nullable=False),
        sa.Column("missed", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("place", "name", name=op.f("pk_probe_worker")),
    )


def _places() -> None:
    op.create_table(
        "service",
        sa.Column("place", sa.String(length=63), nullable=False),
        sa.Column("service", sa.String(length=16), nullable=False),
        sa.Column("version", sa.String(length=64)),
        sa.Column("last_heartbeat", _INSTANT, nullable=False),
        sa.Column("kinds", sa.JSON()),
        sa.Column("contract", sa.Integer()),
        sa.PrimaryKeyConstraint("place", "service", name=op.f("pk_service")),
    )
    op.drop_column("site", "last_heartbeat")
    # The hub receives sealed keys as well, and is no site.
    with op.batch_alter_table("recipient", schema=None) as batch_op:
        batch_op.drop_index(op.f("ix_recipient_site"))
        batch_op.drop_constraint(op.f("uq_recipient_site_service"), type_="unique")
        batch_op.drop_constraint(op.f("fk_recipient_site"), type_="foreignkey")
        batch_op.alter_column("site", new_column_name="place")
    with op.batch_alter_table("recipient", schema=None) as batch_op:
        batch_op.create_unique_constraint(op.f("uq_recipient_place_service"), ["place", "service"])
        batch_op.create_index(op.f("ix_recipient_place"), ["place"])


def _approval_hashes() -> None:
    """Give every stored intent its present form, and every approval the hash of that; they stay each other's."""
    if op.get_bind().dialect.name != "sqlite":
        for table in ("certificate", "request", "approval"):
            op.alter_column(table, "spec_hash", type_=sa.String(length=80))
        # DEPLOY_ and the longest name of a place.
        op.alter_column("event", "stream", type_=sa.String(length=80))
    door = RequestDoor(TargetKinds([FILES, HAPROXY, KUBERNETES]))
    for table in ("certificate", "request"):
        rows = sa.table(
            table,
            sa.column("id", sa.String),
            sa.column("owner", sa.String),
            sa.column("spec", sa.JSON),
            sa.column("spec_hash", sa.String),
        )
        after = ""
        while batch := _batch(rows, after):
            for row in batch:
                _rehash(door, rows, row)
            after = batch[-1].id


def _batch(rows: sa.TableClause, after: str) -> list[sa.Row[Any]]:
    query = sa.select(rows).where(rows.c.id > after).order_by(rows.c.id).limit(1000)
    return list(op.get_bind().execute(query))


def _rehash(door: RequestDoor, rows: sa.TableClause, row: sa.Row[Any]) -> None:
    try:
        spec = door.read(json.dumps(row.spec).encode())
    except RejectedError:
        # It was written by something newer or by hand: it keeps its form and its hash, and so does its approval.
        return
    new = approval_hash(spec, owner=row.owner)
    connection = op.get_bind()
    connection.execute(sa.update(rows).where(rows.c.id == row.id).values(spec=stored(spec), spec_hash=new))
    approvals = sa.table("approval", sa.column("certificate_id", sa.String), sa.column("spec_hash", sa.String))
    if rows.name == "certificate":
        same = sa.and_(approvals.c.certificate_id == row.id, approvals.c.spec_hash == row.spec_hash)
        connection.execute(sa.update(approvals).where(same).values(spec_hash=new))
