"""What certificates are found by: names, labels and places as rows of their own; the CA, the kind of key and the end
of what is served as columns.

They are filled from what is stored. An intent that can't be read is found by its name.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from certkit.database import StoredJson
from registry.adapters.store.certificates import read_intent
from registry.domain.facts import facts_of

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_certificate_exposure_name", ["exposure", "name"]),
    ("ix_certificate_ca_name", ["ca", "name"]),
    ("ix_certificate_key_algorithm_name", ["key_algorithm", "name"]),
    ("ix_certificate_served_until_name", ["served_until", "name"]),
    ("ix_certificate_owner_served_until_name", ["owner", "served_until", "name"]),
)
_NEVER = "9999-12-31 00:00:00.000000"
_BATCH = 500
_VALUE = sa.String(length=253).with_variant(sa.String(length=253, collation="C"), "postgresql")

_CERTIFICATE = sa.table(
    "certificate",
    sa.column("id", sa.String),
    sa.column("name", sa.String),
    sa.column("spec", StoredJson),
    sa.column("served_until", sa.DateTime(timezone=True)),
    sa.column("ca", sa.String),
    sa.column("key_algorithm", sa.String),
)
_FACT = sa.table(
    "certificate_fact", sa.column("kind", sa.String), sa.column("value", sa.String), sa.column("name", sa.String)
)
_LEAF = sa.table(
    "revision",
    sa.column("certificate_id", sa.String),
    sa.column("number", sa.Integer),
    sa.column("variant", sa.String),
    sa.column("fingerprint_sha256", sa.String),
    sa.column("not_after", sa.DateTime(timezone=True)),
    sa.column("ca", sa.String),
)
_PLACEMENT = sa.table(
    "placement",
    sa.column("certificate_id", sa.String),
    sa.column("target", sa.String),
    sa.column("variant", sa.String),
    sa.column("action", sa.String),
    sa.column("wanted", sa.Integer),
    sa.column("held", sa.Integer),
)
_ENDPOINT = sa.table(
    "endpoint", sa.column("certificate_id", sa.String), sa.column("served_fingerprint_sha256", sa.String)
)


def upgrade() -> None:
    op.add_column(
        "certificate", sa.Column("served_until", sa.DateTime(timezone=True), nullable=False, server_default=_NEVER)
    )
    op.add_column("certificate", sa.Column("ca", sa.String(length=63), nullable=False, server_default=""))
    op.add_column("certificate", sa.Column("key_algorithm", sa.String(length=32), nullable=False, server_default=""))
    op.create_table(
        "certificate_fact",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("value", _VALUE, nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.ForeignKeyConstraint(["name"], ["certificate.name"], name=op.f("fk_certificate_fact_name_certificate")),
        sa.PrimaryKeyConstraint("kind", "value", "name", name=op.f("pk_certificate_fact")),
        sqlite_with_rowid=False,
    )
    for batch in _batches():
        _fill(batch)
    op.create_index("ix_certificate_fact_name", "certificate_fact", ["name", "kind", "value"])
    for name, columns in _INDEXES:
        op.create_index(name, "certificate", columns)


def downgrade() -> None:
    for name, _ in _INDEXES:
        op.drop_index(name, "certificate")
    op.drop_table("certificate_fact")
    for name in ("served_until", "ca", "key_algorithm"):
        op.drop_column("certificate", name)


def _batches() -> Iterator[list[Any]]:
    row, after = _CERTIFICATE.c, ""
    while True:
        query = sa.select(row.id, row.name, row.spec).where(row.id > after).order_by(row.id).limit(_BATCH)
        batch = list(op.get_bind().execute(query))
        if not batch:
            return
        yield batch
        after = batch[-1].id


def _fill(batch: list[Any]) -> None:
    connection, ids = op.get_bind(), [item.id for item in batch]
    ends, cas = _ends(ids), _cas(ids)
    rows, facts = [], []
    for item in batch:
        intent, _ = read_intent(item.name, item.spec)
        known = {"key_algorithm": str(intent.key_algorithm)[:32], "ca": cas.get(item.id, "")}
        rows.append({"of": item.id, **known, "served_until": ends.get(item.id, datetime(9999, 12, 31, tzinfo=UTC))})
        facts += [
            {"kind": str(kind), "value": value, "name": item.name} for kind, value in facts_of(item.name, intent)
        ]
    values = {name: sa.bindparam(name) for name in ("key_algorithm", "ca", "served_until")}
    connection.execute(sa.update(_CERTIFICATE).where(_CERTIFICATE.c.id == sa.bindparam("of")).values(values), rows)
    connection.execute(sa.insert(_FACT), sorted(facts, key=lambda fact: (fact["kind"], fact["value"])))


def _ends(ids: list[str]) -> dict[str, datetime]:
    """The earliest end of what endpoints were seen serving and targets hold."""
    leaf, placement, endpoint = _LEAF.c, _PLACEMENT.c, _ENDPOINT.c
    held = sa.and_(
        placement.certificate_id == leaf.certificate_id,
        placement.held == leaf.number,
        placement.variant == leaf.variant,
    )
    seen = sa.and_(
        endpoint.certificate_id == leaf.certificate_id,
        endpoint.served_fingerprint_sha256 == leaf.fingerprint_sha256,
    )
    query = (
        sa.select(leaf.certificate_id, sa.func.min(leaf.not_after).label("ends"))
        .where(leaf.certificate_id.in_(ids))
        .where(sa.or_(sa.exists().where(held), sa.exists().where(seen)))
        .group_by(leaf.certificate_id)
    )
    return {item.certificate_id: item.ends for item in op.get_bind().execute(query)}


def _cas(ids: list[str]) -> dict[str, str]:
    """The CA of what is wanted: of the newest revision, and of that the platform's variant first."""
    leaf, placement = _LEAF.c, _PLACEMENT.c
    query = (
        sa.select(leaf.certificate_id, leaf.number, leaf.variant, leaf.ca, placement.target)
        .join_from(
            _LEAF,
            _PLACEMENT,
            sa.and_(
                placement.certificate_id == leaf.certificate_id,
                placement.wanted == leaf.number,
                placement.variant == leaf.variant,
            ),
        )
        .where(leaf.certificate_id.in_(ids), placement.action == "hold")
    )
    return _first(op.get_bind().execute(query))


def _first(found: Iterable[Any]) -> dict[str, str]:
    ordered = sorted(found, key=lambda row: (-row.number, row.variant == row.target, row.variant))
    cas: dict[str, str] = {}
    for row in ordered:
        cas.setdefault(row.certificate_id, row.ca)
    return cas
