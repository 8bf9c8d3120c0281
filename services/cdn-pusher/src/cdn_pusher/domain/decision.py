"""Decides what has to be written, from what is held and what is wanted."""

from dataclasses import dataclass
from enum import StrEnum

from certdelivery.model import Held, Wanted, WriteReason

__all__ = ["Decision", "Listing", "Loaded", "Noted", "OnDisk", "Reason", "Seen", "decide"]


@dataclass(frozen=True)
class OnDisk:
    """A file that could be read to its end; `normal`: it has the form that HAProxy should get."""

    fingerprint_sha256: str
    sha1: str
    digest: str
    chain_length: int
    normal: bool


@dataclass(frozen=True)
class Loaded:
    """A certificate in HAProxy's memory, by `show ssl cert`; an empty one has no serial. `used`: a list has it."""

    serial: str | None
    sha1: str | None
    chain_length: int
    used: bool


class Listing(StrEnum):
    """Whether the crt-list file names the certificate: only then it is loaded after a restart."""

    LISTED = "listed"
    UNLISTED = "unlisted"


@dataclass(frozen=True)
class Noted:
    """The order for which a file was last written; `digest` is the SHA-256 of the whole PEM."""

    certificate_id: str
    generation: int
    revision: int
    fingerprint_sha256: str
    digest: str

    @property
    def held(self) -> Held:
        return Held(self.revision, self.fingerprint_sha256, self.generation)


@dataclass(frozen=True)
class Seen:
    """One certificate on disk and in memory; `noted` is None where it was written before there were notes."""

    disk: OnDisk | None
    loaded: Loaded | None
    listing: Listing
    noted: Noted | None


class Reason(StrEnum):
    """Why something is done, or nothing: field of the log line."""

    HELD = "held"
    NEWER = "newer"
    NEW = "new"
    NEW_REVISION = "new_revision"
    NEW_ORDER = "new_order"
    DISK_LOST = "disk_lost"
    DISK_CHANGED = "disk_changed"
    MEMORY_LOST = "memory_lost"
    MEMORY_CHANGED = "memory_changed"
    CHAIN_LOST = "chain_lost"
    UNLISTED = "unlisted"


_WRITES = {
    Reason.NEW: WriteReason.MISSING,
    Reason.NEW_REVISION: WriteReason.OLDER,
    Reason.NEW_ORDER: WriteReason.OLDER,
}


@dataclass(frozen=True)
class Decision:
    """`newer` is what is held, where that has a higher generation than the wanted one."""

    reason: Reason
    newer: Held | None = None

    @property
    def part(self) -> WriteReason | Held | None:
        """As `Finding.of` takes it."""
        if self.reason in {Reason.HELD, Reason.NEWER}:
            return self.newer
        return _WRITES.get(self.reason, WriteReason.EDITED)


def decide(seen: Seen, wanted: Wanted) -> Decision:
    noted = seen.noted
    if noted is not None and noted.certificate_id != wanted.certificate_id:
        # Names are unique: the other one is retired, and its generations don't apply to this one.
        noted = None
    if noted is not None and noted.generation > wanted.generation and _is_noted(seen, noted):
        return Decision(Reason.NEWER, noted.held)
    reason = _difference(seen, wanted, noted)
    if reason is Reason.HELD and seen.noted is not None and (noted is None or noted.generation != wanted.generation):
        return Decision(Reason.NEW_ORDER)
    return Decision(reason)


def _is_noted(seen: Seen, noted: Noted) -> bool:
    return seen.disk is not None and seen.disk.fingerprint_sha256 == noted.fingerprint_sha256


def _difference(seen: Seen, wanted: Wanted, noted: Noted | None) -> Reason:
    disk, loaded = seen.disk, seen.loaded
    if disk is None:
        return Reason.NEW if loaded is None else Reason.DISK_LOST
    written = noted is not None and noted.fingerprint_sha256 == wanted.fingerprint_sha256
    if disk.fingerprint_sha256 != wanted.fingerprint_sha256:
        return Reason.DISK_CHANGED if written else Reason.NEW_REVISION
    if not disk.normal or (noted is not None and written and disk.digest != noted.digest):
        return Reason.DISK_CHANGED
    if loaded is None or loaded.serial is None:
        return Reason.MEMORY_LOST
    return _difference_in_memory(loaded, disk, wanted, seen.listing)


def _difference_in_memory(loaded: Loaded, disk: OnDisk, wanted: Wanted, listing: Listing) -> Reason:
    if loaded.serial != wanted.serial or loaded.sha1 != disk.sha1:
        return Reason.MEMORY_CHANGED
    if loaded.chain_length != disk.chain_length:
        return Reason.CHAIN_LOST
    if listing is Listing.UNLISTED or not loaded.used:
        return Reason.UNLISTED
    return Reason.HELD
