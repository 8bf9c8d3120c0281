"""An export of the audit: a line of canonical JSON for each entry, and at its end what shows that none is missing.

header, entries (chain by chain, each oldest first), anchors, at last the heads of all chains and a digest.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from certcore.audit import ENTRY, AuditHead, Json, canonical, instant_text
from certcore.events import RegistryAnchored

__all__ = ["AuditExport", "LineKind"]

_VERSION: Final = 1


class LineKind(StrEnum):
    AUDIT = "audit"
    ENTRY = ENTRY
    ANCHOR = "anchor"
    UNREAD = "unread"
    END = "end"


class AuditExport:
    """Writes the lines; it keeps none of them."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._lines = 0

    def header(self, *, database_id: str, epoch: int, now: datetime) -> bytes:
        return self._line(
            {
                "kind": LineKind.AUDIT.value,
                "version": _VERSION,
                "database_id": database_id,
                "epoch": epoch,
                "exported_at": instant_text(now),
            }
        )

    def entries(self, entries: Iterable[dict[str, Json]]) -> bytes:
        """Entries with their hashes, in the order of their numbers."""
        return b"".join(map(self._line, entries))

    def anchor(self, place: str, anchor: RegistryAnchored) -> bytes:
        return self._line({"kind": LineKind.ANCHOR.value, "place": place, "anchor": anchor.model_dump(mode="json")})

    def unread(self, place: str, why: str) -> bytes:
        """A place of anchors that couldn't be read."""
        return self._line({"kind": LineKind.UNREAD.value, "place": place, "why": why})

    def end(self, heads: Sequence[AuditHead]) -> bytes:
        return self._line(
            {
                "kind": LineKind.END.value,
                "lines": self._lines,
                "heads": [head.model_dump(mode="json") for head in heads],
                "sha256": self._digest.hexdigest(),
            }
        )

    def _line(self, fields: dict[str, Json]) -> bytes:
        line = canonical(fields) + b"\n"
        self._digest.update(line)
        self._lines += 1
        return line
