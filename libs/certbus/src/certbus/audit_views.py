"""The audit and what proves it, as people read them."""

from collections.abc import Iterable

from certbus.output import Cell, Table
from certbus.time_spans import instant
from certcore.audit import AuditEntry, AuditHead
from certcore.audit_proof import AuditProof

__all__ = ["audit_table", "finding_table", "proof_facts", "verdict"]


def audit_table(entries: Iterable[AuditEntry]) -> Table:
    """ENTRY is the chain and the number in it; HOW is how the act came about, with the roles of who did it."""
    return Table(
        ("TIME", "ACTOR", "ACTION", "OBJECT", "HOW", "ENTRY", "DETAIL"),
        tuple(
            (
                Cell(instant(entry.time)),
                Cell(entry.actor),
                Cell(entry.action),
                Cell(entry.object),
                Cell(f"{entry.way} ({entry.roles})" if entry.roles else str(entry.way)),
                Cell(f"{entry.chain}/{entry.number}"),
                Cell(entry.detail),
            )
            for entry in entries
        ),
        empty="no entries",
    )


def proof_facts(proof: AuditProof) -> list[tuple[str, str]]:
    return [
        ("database", proof.database_id),
        ("epoch", str(proof.epoch)),
        ("entries", str(proof.entries)),
        ("heads", _heads(proof.heads)),
        ("anchors", str(proof.anchors)),
        ("anchored", _heads(proof.anchored)),
    ]


def finding_table(proof: AuditProof) -> Table:
    """LINE is that of the export; ENTRY the chain and the number in it."""
    return Table(
        ("FINDING", "LINE", "ENTRY", "DETAIL"),
        tuple(
            (
                Cell(finding.reason, "red"),
                Cell(str(finding.line or "-")),
                Cell(f"{finding.chain}/{finding.number}" if finding.number is not None else "-"),
                Cell(finding.detail),
            )
            for finding in proof.findings
        ),
    )


def verdict(proof: AuditProof, *, accept_restores: bool) -> str:
    if proof.found == 0:
        return "whole: no entry is missing or changed"
    if proof.holds(accept_restores=accept_restores):
        return "whole but for what restores of the database lost"
    more = proof.found - len(proof.findings)
    return "not whole" + (f": these findings, and {more} more" if more else "")


def _heads(heads: Iterable[AuditHead]) -> str:
    return ", ".join(f"{head.chain}/{head.number}" for head in heads)
