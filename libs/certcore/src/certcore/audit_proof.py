"""Whether an export of the audit is whole: found by the export alone, and by anchors that were kept elsewhere.

Chains show an entry that was changed, taken out, put in or moved; anchors show an end that was cut off, or chains
that were written anew.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from certcore.audit import AuditEntry, AuditHead, Json, canonical, hash_of
from certcore.audit_export import LineKind
from certcore.events import RegistryAnchored
from certcore.reading import ReadModel

__all__ = ["AuditProof", "Finding", "FindingReason", "prove", "read_anchors"]

_MOST_FINDINGS: Final = 100


class FindingReason(StrEnum):
    UNREADABLE = "unreadable"
    """A line is none that an export writes."""
    EDITED = "edited"
    """An entry is not what its hash says."""
    NOT_LINKED = "not_linked"
    """An entry doesn't follow the one before it: one of both was changed."""
    MISSING = "missing"
    """Entries are missing before this one."""
    OUT_OF_PLACE = "out_of_place"
    """An entry stands where a later one belongs."""
    TRUNCATED = "truncated"
    """The last entries of a chain are missing."""
    FORKED = "forked"
    """An anchored entry is another one now: the chain was written anew."""
    LOST_BY_RESTORE = "lost_by_restore"
    """As the two before, of an anchor from before the registry was restored from an older copy."""
    OTHER_DATABASE = "other_database"
    """An anchor is of another registry."""
    UNREAD = "unread"
    """Anchors couldn't be read when this was exported."""
    CUT = "cut"
    """The export has no end."""
    ALTERED = "altered"
    """The export is not as it was written."""


class Finding(ReadModel):
    """`line` of the export, from 1; None where it is about an anchor. `chain` and `number` name an entry."""

    reason: FindingReason
    detail: str
    line: int | None = None
    chain: int | None = None
    number: int | None = None


class AuditProof(ReadModel):
    """`findings` are the first ones, of `found` in all. `anchored` is the highest entry of each chain that is as it
    was anchored.
    """

    database_id: str
    epoch: int
    entries: int
    heads: tuple[AuditHead, ...]
    anchors: int
    anchored: tuple[AuditHead, ...]
    findings: tuple[Finding, ...]
    found: int

    def holds(self, *, accept_restores: bool = False) -> bool:
        """Whether nothing was found; what a restore lost can be accepted, where all else is whole."""
        if not accept_restores:
            return self.found == 0
        return self.found == sum(item.reason is FindingReason.LOST_BY_RESTORE for item in self.findings)


def prove(lines: Iterable[bytes], known: Iterable[RegistryAnchored] = ()) -> AuditProof:
    """Look at an export line by line. `known` are anchors from elsewhere, which nobody could change with it."""
    reading = _Reading()
    for line in lines:
        reading.take(line)
    return reading.end(known)


def read_anchors(lines: Iterable[bytes]) -> list[RegistryAnchored]:
    """The anchors of an export, or of a registry's anchor file.

    Raises:
        ValueError: it has none.
    """
    found = []
    for line in lines:
        try:
            fields = json.loads(line)
            if isinstance(fields, dict) and fields.get("kind", LineKind.ANCHOR) == LineKind.ANCHOR:
                found.append(RegistryAnchored.model_validate(fields.get("anchor", fields)))
        except ValueError:
            continue
    if not found:
        raise ValueError("has no anchor")
    return found


class _Header(ReadModel):
    """The first line."""

    database_id: str
    epoch: int


class _End(ReadModel):
    """The last line."""

    heads: tuple[AuditHead, ...]
    lines: int
    sha256: str


@dataclass
class _Chain:
    hashes: dict[int, str] = field(default_factory=dict)
    last: int = 0

    def head(self, chain: int) -> AuditHead:
        highest = max(self.hashes)
        return AuditHead(chain=chain, number=highest, hash=self.hashes[highest])


@dataclass
class _Astray:
    """What of a chain isn't as it was anchored: the lowest of it, and how often it was anchored."""

    lowest: AuditHead
    anchor: RegistryAnchored
    times: int = 1


def _fields(line: bytes) -> dict[str, Json]:
    """Written in any other way, a line may say two things at once.

    Raises:
        ValueError: it is no canonical JSON object.
    """
    fields = json.loads(line)
    if not isinstance(fields, dict) or canonical(fields) + b"\n" != line:
        raise ValueError("is not canonical")
    return fields


class _Reading:
    def __init__(self) -> None:
        self._line = 0
        self._digest = hashlib.sha256()
        self._chains: dict[int, _Chain] = {}
        self._anchors: list[tuple[RegistryAnchored, int | None]] = []
        self._header = _Header(database_id="", epoch=0)
        self._ended = False
        self._findings: list[Finding] = []
        self._found = 0

    def take(self, line: bytes) -> None:
        self._line += 1
        before = self._digest.hexdigest() if b'"kind":"end"' in line else ""
        self._digest.update(line)
        try:
            fields = _fields(line)
            kind = LineKind(str(fields["kind"]))
            if self._ended or (kind is LineKind.AUDIT) != (self._line == 1):
                self._tell(FindingReason.OUT_OF_PLACE, f"a line of kind {kind} stands here", self._line)
            match kind:
                case LineKind.AUDIT:
                    self._header = _Header.model_validate(fields)
                case LineKind.ENTRY:
                    self._entry(AuditEntry.model_validate(fields), hash_of(fields))
                case LineKind.ANCHOR:
                    self._anchors.append((RegistryAnchored.model_validate(fields["anchor"]), self._line))
                case LineKind.UNREAD:
                    self._tell(FindingReason.UNREAD, f"{fields['place']}: {fields['why']}", self._line)
                case LineKind.END:
                    self._end(_End.model_validate(fields), before)
        except (ValueError, KeyError, TypeError, RecursionError):
            self._tell(FindingReason.UNREADABLE, "is no line that an export writes here", self._line)

    def _entry(self, entry: AuditEntry, rightful: str) -> None:
        chain = self._chains.setdefault(entry.chain, _Chain())
        number, following = entry.number, chain.last + 1
        where = (self._line, entry.chain, number)
        if entry.hash != rightful:
            self._tell(FindingReason.EDITED, f"entry {number} is not what its hash says", *where)
        if number < 1 or number < following or number in chain.hashes:
            detail = f"entry {number} stands where entry {following} belongs"
            self._tell(FindingReason.OUT_OF_PLACE, detail, *where)
        elif number > following:
            detail = f"entries {following} to {number - 1} are missing before entry {number}"
            self._tell(FindingReason.MISSING, detail, *where)
        before = chain.hashes.get(number - 1)
        if number == 1 and entry.previous is not None:
            self._tell(FindingReason.NOT_LINKED, "entry 1 follows another one", *where)
        elif before is not None and entry.previous != before:
            detail = f"entry {number} doesn't follow entry {number - 1}: one of both was changed"
            self._tell(FindingReason.NOT_LINKED, detail, *where)
        chain.hashes[number] = entry.hash
        chain.last = number

    def _end(self, end: _End, digest: str) -> None:
        self._ended = True
        for stray in self._chains.keys() - {head.chain for head in end.heads}:
            self._tell(FindingReason.ALTERED, f"the export names no chain {stray}", self._line, stray)
        for head in end.heads:
            held = self._chains.get(head.chain)
            last = held.head(head.chain) if held is not None else AuditHead(chain=head.chain, number=0, hash="")
            if last.number < head.number:
                detail = f"entries {last.number + 1} to {head.number} of chain {head.chain} are missing"
                self._tell(FindingReason.TRUNCATED, detail, self._line, head.chain, last.number + 1)
            elif last != head and not self._found:
                detail = f"chain {head.chain} doesn't end with the entry that the export names"
                self._tell(FindingReason.ALTERED, detail, self._line, head.chain, last.number)
        if not self._found and (end.sha256, end.lines) != (digest, self._line - 1):
            self._tell(FindingReason.ALTERED, "a line was changed, taken out or put in", self._line)

    def end(self, known: Iterable[RegistryAnchored]) -> AuditProof:
        if not self._ended:
            self._tell(FindingReason.CUT, "the export breaks off after this line", self._line)
        self._anchors += [(anchor, None) for anchor in known]
        good = self._compare()
        return AuditProof(
            database_id=self._header.database_id,
            epoch=self._header.epoch,
            entries=sum(len(chain.hashes) for chain in self._chains.values()),
            heads=tuple(chain.head(number) for number, chain in sorted(self._chains.items())),
            anchors=len(self._anchors),
            anchored=tuple(good[chain] for chain in sorted(good)),
            findings=tuple(self._findings),
            found=self._found,
        )

    def _compare(self) -> dict[int, AuditHead]:
        """The highest entry of each chain that is as it was anchored."""
        good: dict[int, AuditHead] = {}
        astray: dict[tuple[int, FindingReason], _Astray] = {}
        for anchor, line in self._anchors:
            if anchor.database_id != self._header.database_id:
                self._tell(FindingReason.OTHER_DATABASE, f"an anchor is of database {anchor.database_id}", line)
                continue
            for head in anchor.audit_heads:
                reason = self._astray(anchor, head)
                if reason is None:
                    good[head.chain] = max(head, good.get(head.chain, head), key=lambda item: item.number)
                    continue
                found = astray.setdefault((head.chain, reason), _Astray(head, anchor, 0))
                found.times += 1
                if head.number < found.lowest.number:
                    found.lowest, found.anchor = head, anchor
        for (chain, reason), item in sorted(astray.items()):
            self._tell(reason, self._astray_detail(item), None, chain, item.lowest.number)
        return good

    def _astray(self, anchor: RegistryAnchored, head: AuditHead) -> FindingReason | None:
        held = self._chains.get(head.chain, _Chain()).hashes
        if held.get(head.number) == head.hash:
            return None
        if anchor.epoch < self._header.epoch:
            return FindingReason.LOST_BY_RESTORE
        return FindingReason.FORKED if head.number in held else FindingReason.TRUNCATED

    def _astray_detail(self, item: _Astray) -> str:
        held = self._chains.get(item.lowest.chain, _Chain()).hashes
        what = "is another one now" if item.lowest.number in held else "is missing"
        others = f"; anchors that don't fit: {item.times}" if item.times > 1 else ""
        return (
            f"entry {item.lowest.number} of chain {item.lowest.chain}, which was anchored at"
            f" {item.anchor.anchored_at:%Y-%m-%dT%H:%M:%SZ} in epoch {item.anchor.epoch}, {what}{others}"
        )

    def _tell(
        self,
        reason: FindingReason,
        detail: str,
        line: int | None = None,
        chain: int | None = None,
        number: int | None = None,
    ) -> None:
        self._found += 1
        if len(self._findings) < _MOST_FINDINGS:
            self._findings.append(Finding(reason=reason, detail=detail, line=line, chain=chain, number=number))
