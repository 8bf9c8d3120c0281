"""Chains of audit entries, as a registry keeps and exports them, and what somebody may do to them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from certcore.audit import AuditHead, Json, entry_fields, hash_of
from certcore.audit_export import AuditExport
from certcore.events import RegistryAnchored

__all__ = ["DATABASE", "NOON", "Entry", "an_anchor", "chained", "exported", "head_of", "rechained"]

Entry = dict[str, Json]

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
DATABASE: Final = "database-1"


def chained(length: int, *, chain: int = 1) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(1, length + 1):
        fields = entry_fields(
            chain=chain,
            number=number,
            time=NOON + timedelta(seconds=number),
            actor="site1-syncer",
            way="token",
            roles="deliverer",
            action="fetch bundle",
            what=f"certificate-{number % 7}/1/platform",
            detail="",
            previous=str(entries[-1]["hash"]) if entries else None,
        )
        entries.append(fields | {"hash": hash_of(fields)})
    return entries


def rechained(entries: Sequence[Entry], first: int) -> list[Entry]:
    """All from an index on with hashes that fit: what somebody does who knows how it is made."""
    made = [dict(entry) for entry in entries]
    for index in range(first, len(made)):
        made[index]["number"] = index + 1
        made[index]["previous"] = made[index - 1]["hash"] if index else None
        made[index]["hash"] = hash_of(made[index])
    return made


def head_of(entries: Sequence[Entry]) -> AuditHead:
    return AuditHead.model_validate({name: entries[-1][name] for name in ("chain", "number", "hash")})


def an_anchor(*chains: Sequence[Entry], epoch: int = 0, database: str = DATABASE) -> RegistryAnchored:
    """What is anchored where these are all."""
    return RegistryAnchored(
        database_id=database,
        epoch=epoch,
        event_sequence=1,
        audit_sequence=sum(map(len, chains)),
        anchored_at=NOON,
        audit_heads=tuple(map(head_of, chains)),
    )


def exported(*chains: Sequence[Entry], anchors: Sequence[RegistryAnchored] = (), epoch: int = 0) -> list[bytes]:
    """What a registry exports whose rows are these."""
    export = AuditExport()
    lines = [export.header(database_id=DATABASE, epoch=epoch, now=NOON)]
    lines += export.entries(entry for entries in chains for entry in entries).splitlines(keepends=True)
    lines += [export.anchor("anchor file", anchor) for anchor in anchors]
    heads = [head_of(entries) for entries in chains if entries]
    return [*lines, export.end(heads)]
