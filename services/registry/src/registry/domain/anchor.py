"""Whether the registry's database is an older copy: by what was anchored outside of it, and by what the bus holds."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from certcore.events import RegistryAnchored

__all__ = ["ANCHOR_FILE", "Standing", "StandingReason", "compare"]

ANCHOR_FILE: Final = "anchor.json"
"""In the state folder."""


class StandingReason(StrEnum):
    """How the database stands to its anchors: field of the log line."""

    IN_STEP = "in_step"
    OLDER_COPY = "older_copy"
    OTHER_DATABASE = "other_database"
    UNKNOWN_EVENT = "unknown_event"


@dataclass(frozen=True)
class Standing:
    """`epoch` is the one to go on with: a higher one than the database's where that was restored."""

    reason: StandingReason
    epoch: int
    detail: str

    @property
    def restored(self) -> bool:
        return self.reason is not StandingReason.IN_STEP


def compare(own: RegistryAnchored, anchors: Iterable[RegistryAnchored], *, unknown_event: str | None) -> Standing:
    """Compare what would be anchored now with the anchors that were found, in whatever places.

    An anchor of another database counts as long as its epoch was not passed: beside a bus with a history, an empty or
    foreign database has lost all of it. `unknown_event` is an event on the bus that is newer than all of the
    database's own: it shows a loss between two anchors.
    """
    found = list(anchors)
    epoch = max(own.epoch, *(anchor.epoch for anchor in found), 0) + 1
    ahead = [anchor for anchor in found if anchor.database_id == own.database_id and _is_ahead(anchor, own)]
    foreign = [anchor for anchor in found if anchor.database_id != own.database_id and anchor.epoch >= own.epoch]
    if ahead:
        highest = max(ahead, key=_height)
        detail = (
            f"it ends with event {own.event_sequence} of epoch {own.epoch}; event {highest.event_sequence} of epoch"
            f" {highest.epoch} was anchored at {highest.anchored_at:%Y-%m-%dT%H:%M:%SZ}"
        )
        return Standing(StandingReason.OLDER_COPY, epoch, detail)
    if foreign:
        last = max(foreign, key=_height)
        detail = f"database {last.database_id} anchored its events here, this one is {own.database_id}"
        return Standing(StandingReason.OTHER_DATABASE, epoch, detail)
    if unknown_event is not None:
        detail = f"the bus holds event {unknown_event}, which is newer than what it ends with and not in it"
        return Standing(StandingReason.UNKNOWN_EVENT, epoch, detail)
    return Standing(StandingReason.IN_STEP, own.epoch, "no anchor is ahead of it")


def _height(anchor: RegistryAnchored) -> tuple[int, int, int]:
    return anchor.epoch, anchor.event_sequence, anchor.audit_sequence


def _is_ahead(anchor: RegistryAnchored, own: RegistryAnchored) -> bool:
    if anchor.epoch != own.epoch:
        return anchor.epoch > own.epoch
    return anchor.event_sequence > own.event_sequence or anchor.audit_sequence > own.audit_sequence
