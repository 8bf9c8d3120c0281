"""What has to be done at a target, from what is there and what is wanted."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Decision", "Held", "Listing", "Loaded", "OnDisk", "Reason", "Wanted", "decide"]


@dataclass(frozen=True)
class Wanted:
    """`digest` is the SHA-256 of the whole PEM, where it is known because it was written before."""

    fingerprint_sha256: str
    serial: str
    digest: str | None = None


@dataclass(frozen=True)
class OnDisk:
    """A file that could be read to its end; `normal` tells that it has the form that HAProxy should get."""

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
class Held:
    """Everything that a target holds of one certificate."""

    disk: OnDisk | None
    loaded: Loaded | None
    listing: Listing


class Reason(StrEnum):
    """Why something is done, or nothing: metric label and log key."""

    HELD = "held"
    NEW = "new"
    NEW_REVISION = "new_revision"
    DISK_LOST = "disk_lost"
    DISK_CHANGED = "disk_changed"
    MEMORY_LOST = "memory_lost"
    MEMORY_CHANGED = "memory_changed"
    CHAIN_LOST = "chain_lost"
    UNLISTED = "unlisted"


@dataclass(frozen=True)
class Decision:
    """`push`: bring the bundle; without it everything is as wanted."""

    push: bool
    reason: Reason


def decide(held: Held, wanted: Wanted) -> Decision:
    reason = _difference(held, wanted)
    return Decision(push=reason is not Reason.HELD, reason=reason)


def _difference(held: Held, wanted: Wanted) -> Reason:
    disk, loaded = held.disk, held.loaded
    if disk is None:
        return Reason.NEW if loaded is None else Reason.DISK_LOST
    if disk.fingerprint_sha256 != wanted.fingerprint_sha256:
        return Reason.NEW_REVISION
    if not disk.normal or (wanted.digest is not None and disk.digest != wanted.digest):
        return Reason.DISK_CHANGED
    if loaded is None or loaded.serial is None:
        return Reason.MEMORY_LOST
    return _difference_in_memory(loaded, disk, wanted, held.listing)


def _difference_in_memory(loaded: Loaded, disk: OnDisk, wanted: Wanted, listing: Listing) -> Reason:
    if loaded.serial != wanted.serial or loaded.sha1 != disk.sha1:
        return Reason.MEMORY_CHANGED
    if loaded.chain_length != disk.chain_length:
        return Reason.CHAIN_LOST
    if listing is Listing.UNLISTED or not loaded.used:
        return Reason.UNLISTED
    return Reason.HELD
