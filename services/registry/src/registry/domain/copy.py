"""A copy of the database: what it says of itself, and whether it may take the place of the one that is there."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from certcore.events import RegistryAnchored, Severity
from certcore.reading import ReadModel
from registry.domain.alert import Finding

__all__ = [
    "BACKUP_OLD",
    "CopiedFile",
    "Manifest",
    "Place",
    "Position",
    "RestoreDecision",
    "RestoreReason",
    "copy_name",
    "copy_time",
    "decide_restore",
    "judge_age",
    "mismatch",
    "next_epoch",
    "surplus",
]

BACKUP_OLD: Final = "backup_old"
_PREFIX: Final = "registry-"
_INSTANT: Final = "%Y%m%dT%H%M%SZ"


class Position(ReadModel):
    """How far a database is, as it would be anchored, and how much is in it."""

    anchor: RegistryAnchored
    certificates: int
    requests: int
    revisions: int

    def told(self) -> str:
        return (
            f"event {self.anchor.event_sequence} and audit entry {self.anchor.audit_sequence} of epoch"
            f" {self.anchor.epoch}; {self.certificates} certificates, {self.revisions} revisions,"
            f" {self.requests} requests"
        )


class CopiedFile(ReadModel):
    name: str
    size: int
    sha256: str


class Manifest(ReadModel):
    """`schema_version` is the migration, `program` the version of certbus that wrote it."""

    format: int = 1
    program: str
    made_at: datetime
    kind: str
    schema_version: str
    position: Position
    file: CopiedFile


@dataclass(frozen=True)
class Place:
    """Where a copy is to go: the kind of the database, the migrations that the program there knows, the database, and
    its last anchor.

    `position` is None where there is no database, or it can't be read: then `unreadable` says why.
    """

    kind: str
    schema_versions: Collection[str]
    position: Position | None
    unreadable: str | None
    anchor: RegistryAnchored | None

    def anchors(self) -> list[RegistryAnchored]:
        """Of the database, and the last one outside of it."""
        found = (self.position.anchor if self.position is not None else None, self.anchor)
        return [anchor for anchor in found if anchor is not None]


class RestoreReason(StrEnum):
    OTHER_KIND = "other_kind"
    NEWER_PROGRAM = "newer_program"
    OTHER_DATABASE = "other_database"
    NEWER_THERE = "newer_there"
    OLDER_COPY = "older_copy"
    NOTHING_LOST = "nothing_lost"
    NO_DATABASE = "no_database"
    UNREADABLE_THERE = "unreadable_there"


@dataclass(frozen=True)
class RestoreDecision:
    """`detail` is for people; `way`, where it is refused, is the option by which it is done all the same."""

    reason: RestoreReason
    detail: str
    allowed: bool
    way: str | None = None

    @property
    def begins_epoch(self) -> bool:
        """Whether something may be lost: also where nothing is left that shows it."""
        return self.allowed and self.reason is not RestoreReason.NOTHING_LOST


def decide_restore(manifest: Manifest, place: Place, *, older: bool, other: bool) -> RestoreDecision:
    """`older` and `other` are what the operator said: that an older copy, or one of another database, is meant."""
    own, present = manifest.position.anchor, place.position
    settled = _unfit(manifest, place) or _foreign(own, place, meant=other)
    if settled is not None:
        return settled
    if present is not None and _is_lost(own, present.anchor):
        detail = f"the database there is newer: {_loss(manifest.position, present)}"
        if not older:
            return RestoreDecision(RestoreReason.NEWER_THERE, detail, allowed=False, way="--older")
    elif place.anchor is not None and _is_lost(own, place.anchor):
        # What is gone can't be kept by refusing.
        detail = f"what was anchored after the copy is in no database here: {_since(own, place.anchor)}"
    elif place.unreadable is not None:
        return RestoreDecision(RestoreReason.UNREADABLE_THERE, place.unreadable, allowed=True)
    elif present is None:
        return RestoreDecision(RestoreReason.NO_DATABASE, "there is no database, and no newer anchor", allowed=True)
    else:
        return RestoreDecision(RestoreReason.NOTHING_LOST, "nothing is there that the copy lacks", allowed=True)
    return RestoreDecision(RestoreReason.OLDER_COPY, detail, allowed=True)


def _unfit(manifest: Manifest, place: Place) -> RestoreDecision | None:
    if manifest.kind != place.kind:
        detail = f"this is a copy of a {manifest.kind} database, and the settings name a {place.kind} one"
        return RestoreDecision(RestoreReason.OTHER_KIND, detail, allowed=False)
    if manifest.schema_version not in place.schema_versions:
        detail = (
            f"its schema is {manifest.schema_version}, written by certbus {manifest.program}, and this program knows"
            f" none above {max(place.schema_versions)}: install that version or a later one"
        )
        return RestoreDecision(RestoreReason.NEWER_PROGRAM, detail, allowed=False)
    return None


def _foreign(own: RegistryAnchored, place: Place, *, meant: bool) -> RestoreDecision | None:
    for known in place.anchors():
        if known.database_id != own.database_id:
            detail = f"this is a copy of the database {own.database_id}, and here was {known.database_id}"
            way = None if meant else "--other-database"
            return RestoreDecision(RestoreReason.OTHER_DATABASE, detail, allowed=meant, way=way)
    return None


def next_epoch(manifest: Manifest, place: Place) -> int:
    """Above whatever is known here: generations of it are above all that places hold."""
    return 1 + max(anchor.epoch for anchor in (manifest.position.anchor, *place.anchors()))


def _is_lost(copy: RegistryAnchored, there: RegistryAnchored) -> bool:
    """Whether something is there, or was anchored, that the copy of the same database doesn't have."""
    if there.database_id != copy.database_id:
        return False
    if there.epoch != copy.epoch:
        return there.epoch > copy.epoch
    if there.event_sequence > copy.event_sequence or there.audit_sequence > copy.audit_sequence:
        return True
    # As long, and another one: both went on from the same copy.
    held = {head.chain: head for head in copy.audit_heads}
    return any(
        head.chain in held and head.number == held[head.chain].number and head.hash != held[head.chain].hash
        for head in there.audit_heads
    )


def _loss(copy: Position, there: Position) -> str:
    parts = [_since(copy.anchor, there.anchor)]
    for one, many in (("certificates", "certificates"), ("revisions", "revisions"), ("requests", "requests")):
        more = getattr(there, many) - getattr(copy, many)
        if more > 0:
            parts.append(f"{more} {one}")
    return ", ".join(parts)


def _since(copy: RegistryAnchored, there: RegistryAnchored) -> str:
    if there.epoch != copy.epoch:
        return f"it is of epoch {there.epoch}, and the copy of epoch {copy.epoch}"
    events = there.event_sequence - copy.event_sequence
    entries = there.audit_sequence - copy.audit_sequence
    if events <= 0 and entries <= 0:
        return "another audit that is as long"
    return f"{max(events, 0)} events and {max(entries, 0)} entries of the audit came after the copy"


def mismatch(manifest: Manifest, found: Position) -> str | None:
    """In what a copy isn't what its manifest says; None where it is."""
    told = manifest.position
    # When it was looked at isn't a part of it.
    anchor = found.anchor.model_copy(update={"anchored_at": told.anchor.anchored_at})
    if found.model_copy(update={"anchor": anchor}) == told:
        return None
    return f"it has {found.told()}, and its manifest says {told.told()}"


def copy_name(now: datetime) -> str:
    return f"{_PREFIX}{now:{_INSTANT}}"


def copy_time(name: str) -> datetime | None:
    """When the copy of this name was made; None for what is no copy."""
    try:
        return datetime.strptime(f"{name}+0000", f"{_PREFIX}{_INSTANT}%z")
    except ValueError:
        return None


def surplus(names: Iterable[str], keep: int) -> list[str]:
    """Of a folder's copies those that are to be removed so that the newest `keep` stay, oldest first."""
    copies = sorted(name for name in names if copy_time(name) is not None)
    return copies[: max(0, len(copies) - max(1, keep))]


def judge_age(folder: str, newest: datetime | None, *, now: datetime, most: timedelta) -> list[Finding]:
    """An alert where the newest copy of a folder is older than it may be; None: there is none."""
    if newest is not None and now - newest <= most:
        return []
    # It says the same until there is another: no alert changes with each look.
    since = (
        f"the newest copy of the database was made at {newest.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        if newest
        else ("there is no copy of the database")
    )
    summary = f"{since} in {folder}, and none may be older than {most}: what came since is lost with the database"
    return [Finding(BACKUP_OLD, "registry", Severity.WARNING, summary)]
