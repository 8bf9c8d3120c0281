"""What is looked at in a database that is copied, or in a copy: how far it is, its schema, and its whole audit."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Table, func, select, text

from certcore.audit import Way, fields_of
from certcore.audit_export import AuditExport
from certcore.audit_proof import AuditProof, prove
from certkit.database import upgrade_schema
from registry.adapters import tables
from registry.adapters.store.audit import Audit
from registry.adapters.store.epochs import Epochs
from registry.domain.copy import Position

__all__ = ["State", "audit_of", "begin_epoch", "state_of"]

_BATCH: Final = 500


@dataclass(frozen=True)
class State:
    schema_version: str
    position: Position


def state_of(connection: Connection, now: datetime) -> State:
    def count(table: Table) -> int:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()

    version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    position = Position(
        anchor=Epochs(connection).position(now),
        certificates=count(tables.certificate),
        requests=count(tables.request),
        revisions=count(tables.revision),
    )
    return State(version, position)


def begin_epoch(connection: Connection, migrations: Path, number: int, reason: str, now: datetime) -> None:
    """Have a copy wait for what it lacks, whether or not an anchor is left that shows it."""
    upgrade_schema(connection, migrations)
    Epochs(connection).begin(number, reason=reason, now=now)
    Audit(connection).note("registry", "restored", f"epoch {number}", reason, now, way=Way.SYSTEM)


def audit_of(connection: Connection, now: datetime) -> AuditProof:
    """Whether the whole audit is linked."""
    return prove(_lines(connection, now))


def _lines(connection: Connection, now: datetime) -> Iterator[bytes]:
    audit, epoch, export = Audit(connection), Epochs(connection).present(), AuditExport()
    heads = audit.heads()
    yield export.header(database_id=epoch.database_id, epoch=epoch.number, now=now)
    for head in heads:
        after = 0
        while part := audit.part(head, after=after, limit=_BATCH):
            for entry in part:
                yield export.entries([fields_of(entry)])
            after = part[-1].number
    yield export.end(heads)
