"""The audit is chained, and only appended to. What is in it already is chained as it is."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from certcore.audit import entry_fields, hash_of

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_BATCH = 1000
_CHANGES = ("UPDATE", "DELETE")
_COLUMNS = ("chain", "number", "way", "roles", "previous", "hash")


def upgrade() -> None:
    for name, kind in (("chain", sa.Integer()), ("number", sa.Integer()), ("previous", sa.String(64))):
        op.add_column("audit", sa.Column(name, kind, nullable=True))
    for name, length in (("way", 16), ("roles", 127), ("hash", 64)):
        op.add_column("audit", sa.Column(name, sa.String(length), nullable=True))
    _chain_all()
    with op.batch_alter_table("audit") as batch:
        for name in _COLUMNS:
            if name != "previous":
                batch.alter_column(name, nullable=False)
        batch.create_unique_constraint("uq_audit_chain_number", ["chain", "number"])
    op.create_index("ix_audit_object_sequence", "audit", ["object", "sequence"])
    _only_append()


def _chain_all() -> None:
    connection = op.get_bind()
    audit = sa.Table("audit", sa.MetaData(), autoload_with=connection)
    after, number, previous = 0, 0, None
    while True:
        query = sa.select(audit).where(audit.c.sequence > after).order_by(audit.c.sequence).limit(_BATCH)
        rows = connection.execute(query).all()
        for row in rows:
            number += 1
            time = row.time if row.time.tzinfo is not None else row.time.replace(tzinfo=UTC)
            noted = {"actor": row.actor, "action": row.action, "what": row.object, "detail": row.detail}
            linked = _linked(number, previous, time, noted)
            connection.execute(audit.update().where(audit.c.sequence == row.sequence).values(linked))
            after, previous = row.sequence, linked["hash"]
        if len(rows) < _BATCH:
            break
    if number:
        # What a reader of the audit must know of the entries before.
        now, what = datetime.now(UTC), f"entries 1 to {number}"
        detail = "they were chained by an upgrade: nothing shows what was changed before it"
        noted = {"actor": "registry", "action": "chain audit", "what": what, "detail": detail}
        linked = _linked(number + 1, previous, now, noted)
        row = {"time": now, "actor": noted["actor"], "action": noted["action"], "object": what, "detail": detail}
        connection.execute(audit.insert().values(row | linked))


def _linked(number: int, previous: str | None, time: datetime, noted: dict[str, str]) -> dict[str, Any]:
    fields = entry_fields(chain=1, number=number, time=time, way="", roles="", previous=previous, **noted)
    return {"hash": hash_of(fields)} | {name: fields[name] for name in _COLUMNS if name != "hash"}


def _only_append() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for change in _CHANGES:
            op.execute(
                f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit"
                " BEGIN SELECT RAISE(ABORT, 'the audit is only appended to'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the audit is only appended to'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for change in _CHANGES:
            op.execute(f"DROP TRIGGER audit_no_{change.lower()}")
    else:
        op.execute("DROP TRIGGER audit_no_change ON audit")
        op.execute("DROP FUNCTION audit_refuse()")
    op.drop_index("ix_audit_object_sequence", "audit")
    with op.batch_alter_table("audit") as batch:
        batch.drop_constraint("uq_audit_chain_number", type_="unique")
        for name in _COLUMNS:
            batch.drop_column(name)
