"""Whether a copy may take the place of a database, and which copies stay."""

from datetime import UTC, datetime, timedelta

import pytest

from certcore.audit import AuditHead
from certcore.events import RegistryAnchored
from registry.domain.copy import (
    CopiedFile,
    Manifest,
    Place,
    Position,
    RestoreReason,
    copy_name,
    copy_time,
    decide_restore,
    judge_age,
    mismatch,
    next_epoch,
    surplus,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def anchor(
    events: int = 10, *, epoch: int = 0, audit: int = 5, database: str = "ours", head: str = "h"
) -> RegistryAnchored:
    return RegistryAnchored(
        database_id=database,
        epoch=epoch,
        event_sequence=events,
        audit_sequence=audit,
        anchored_at=NOON,
        audit_heads=(AuditHead(chain=1, number=audit, hash=head),),
    )


def position(at: RegistryAnchored | None = None, *, certificates: int = 3, revisions: int = 4) -> Position:
    return Position(anchor=at or anchor(), certificates=certificates, requests=3, revisions=revisions)


def manifest(at: Position | None = None, *, kind: str = "sqlite", schema: str = "0018") -> Manifest:
    return Manifest(
        program="1.2",
        made_at=NOON,
        kind=kind,
        schema_version=schema,
        position=at or position(),
        file=CopiedFile(name="database.sqlite", size=1, sha256="ab"),
    )


def place(
    there: Position | None = None, *, unreadable: str | None = None, known: RegistryAnchored | None = None
) -> Place:
    return Place(kind="sqlite", schema_versions=("0017", "0018"), position=there, unreadable=unreadable, anchor=known)


NEWER = position(anchor(25, audit=9), certificates=5, revisions=8)
FOREIGN = anchor(database="theirs")

CASES = [
    (manifest(kind="postgresql"), place(), RestoreReason.OTHER_KIND, False, None),
    (manifest(schema="0019"), place(), RestoreReason.NEWER_PROGRAM, False, None),
    (manifest(schema="0017"), place(), RestoreReason.NO_DATABASE, True, None),
    (manifest(), place(position(FOREIGN)), RestoreReason.OTHER_DATABASE, False, "--other-database"),
    (manifest(), place(known=FOREIGN), RestoreReason.OTHER_DATABASE, False, "--other-database"),
    (manifest(), place(NEWER), RestoreReason.NEWER_THERE, False, "--older"),
    (manifest(), place(position(anchor(audit=6))), RestoreReason.NEWER_THERE, False, "--older"),
    (manifest(), place(position(anchor(1, epoch=1, audit=1))), RestoreReason.NEWER_THERE, False, "--older"),
    # As long, but another one.
    (manifest(), place(position(anchor(head="x"))), RestoreReason.NEWER_THERE, False, "--older"),
    # What is gone can't be kept by refusing.
    (manifest(), place(known=anchor(11)), RestoreReason.OLDER_COPY, True, None),
    (manifest(), place(unreadable="it is damaged", known=anchor(11)), RestoreReason.OLDER_COPY, True, None),
    (manifest(), place(unreadable="it is damaged"), RestoreReason.UNREADABLE_THERE, True, None),
    (manifest(), place(position(anchor(9, audit=4))), RestoreReason.NOTHING_LOST, True, None),
    (manifest(), place(position(), known=anchor()), RestoreReason.NOTHING_LOST, True, None),
    (manifest(position(anchor(1, epoch=1))), place(NEWER), RestoreReason.NOTHING_LOST, True, None),
]


@pytest.mark.parametrize(("copy", "here", "reason", "allowed", "way"), CASES)
def test_a_copy_may_take_the_place_where_nothing_newer_would_be_lost(
    copy: Manifest, here: Place, reason: RestoreReason, *, allowed: bool, way: str | None
) -> None:
    decision = decide_restore(copy, here, older=False, other=False)

    assert (decision.reason, decision.allowed, decision.way) == (reason, allowed, way)


def test_it_says_by_how_much_the_database_there_is_newer() -> None:
    decision = decide_restore(manifest(), place(NEWER), older=False, other=False)

    assert "15 events and 4 entries of the audit came after the copy, 2 certificates, 4 revisions" in decision.detail


def test_the_operator_may_mean_an_older_copy_or_another_database() -> None:
    older = decide_restore(manifest(), place(NEWER), older=True, other=False)
    assert (older.reason, older.allowed) == (RestoreReason.OLDER_COPY, True)
    assert "15 events" in older.detail
    other = decide_restore(manifest(), place(position(FOREIGN)), older=False, other=True)
    assert (other.reason, other.allowed) == (RestoreReason.OTHER_DATABASE, True)


def test_an_epoch_begins_above_all_that_are_known_unless_nothing_is_lost() -> None:
    kept = decide_restore(manifest(), place(position()), older=False, other=False)
    assert not kept.begins_epoch
    gone = decide_restore(manifest(), place(), older=False, other=False)
    assert gone.begins_epoch
    refused = decide_restore(manifest(), place(NEWER), older=False, other=False)
    assert not refused.begins_epoch
    assert next_epoch(manifest(), place()) == 1
    assert next_epoch(manifest(), place(position(anchor(epoch=2)), known=anchor(epoch=4))) == 5


@pytest.mark.parametrize("copy", [manifest(kind="postgresql"), manifest(schema="0019")])
def test_what_can_not_be_read_is_refused_whatever_the_operator_says(copy: Manifest) -> None:
    assert not decide_restore(copy, place(NEWER), older=True, other=True).allowed


def test_a_copy_is_what_its_manifest_says() -> None:
    later = anchor().model_copy(update={"anchored_at": NOON + timedelta(days=1)})
    assert mismatch(manifest(), position(later)) is None
    for other in (position(anchor(11)), position(anchor(head="x")), position(revisions=3)):
        assert mismatch(manifest(), other) is not None


def test_a_copy_is_named_by_when_it_was_made() -> None:
    assert copy_name(NOON) == "registry-20260301T120000Z"
    assert copy_time("registry-20260301T120000Z") == NOON
    for other in ("registry-", "registry-today", "20260301T120000Z", ".making", "lost+found"):
        assert copy_time(other) is None


def test_of_a_folders_copies_the_newest_stay_and_nothing_else_is_touched() -> None:
    names = ["other", copy_name(NOON), ".making", copy_name(NOON + timedelta(days=1)), "registry-old"]
    assert surplus(names, 1) == [copy_name(NOON)]
    assert surplus(names, 2) == []
    assert surplus(names, 0) == [copy_name(NOON)]
    assert surplus([], 3) == []


def test_a_copy_that_is_too_old_is_an_alert_that_stays_the_same_until_there_is_another() -> None:
    day, late = timedelta(days=1), NOON + timedelta(days=1, seconds=1)
    assert judge_age("/copies", NOON, now=NOON + day, most=day) == []
    [old] = judge_age("/copies", NOON, now=late, most=day)
    assert "was made at 2026-03-01T12:00:00Z in /copies" in old.summary
    assert judge_age("/copies", NOON, now=late + day, most=day) == [old]
    [none] = judge_age("/copies", None, now=NOON, most=day)
    assert "there is no copy" in none.summary
