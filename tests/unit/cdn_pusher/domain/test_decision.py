from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cdn_pusher.domain.decision import Decision, Listing, Loaded, Noted, OnDisk, Reason, Seen, decide
from certcore.intent import Target
from certdelivery.model import Held, Wanted, WriteReason

WANTED = Wanted(
    certificate_id="c1",
    name="shop",
    target=Target(name="edge", kind="haproxy", site="site1"),
    place="site1",
    generation=3,
    revision=3,
    variant="platform",
    fingerprint_sha256="f" * 64,
    serial="1a",
    not_after=datetime(2030, 1, 1, tzinfo=UTC),
)
DISK = OnDisk(fingerprint_sha256="f" * 64, sha1="S", digest="d", chain_length=2, normal=True)
LOADED = Loaded(serial="1a", sha1="S", chain_length=2, used=True)
NOTED = Noted(certificate_id="c1", generation=3, revision=3, fingerprint_sha256="f" * 64, digest="d")
ALL = Seen(DISK, LOADED, Listing.LISTED, NOTED)


def test_what_is_held_is_left_alone() -> None:
    assert decide(ALL, WANTED) == Decision(Reason.HELD)
    assert decide(ALL, WANTED).part is None


def test_what_was_written_before_there_were_notes_is_left_alone() -> None:
    assert decide(replace(ALL, noted=None), WANTED).part is None


@pytest.mark.parametrize(
    ("seen", "reason", "write"),
    [
        (Seen(None, None, Listing.UNLISTED, None), Reason.NEW, WriteReason.MISSING),
        (replace(ALL, disk=None), Reason.DISK_LOST, WriteReason.EDITED),
        (replace(ALL, disk=replace(DISK, normal=False)), Reason.DISK_CHANGED, WriteReason.EDITED),
        (replace(ALL, disk=replace(DISK, fingerprint_sha256="0" * 64)), Reason.DISK_CHANGED, WriteReason.EDITED),
        (replace(ALL, noted=replace(NOTED, digest="other")), Reason.DISK_CHANGED, WriteReason.EDITED),
        (replace(ALL, loaded=None), Reason.MEMORY_LOST, WriteReason.EDITED),
        (replace(ALL, loaded=Loaded(None, None, 1, used=False)), Reason.MEMORY_LOST, WriteReason.EDITED),
        (replace(ALL, loaded=replace(LOADED, serial="2b")), Reason.MEMORY_CHANGED, WriteReason.EDITED),
        (replace(ALL, loaded=replace(LOADED, sha1="T")), Reason.MEMORY_CHANGED, WriteReason.EDITED),
        (replace(ALL, loaded=replace(LOADED, chain_length=1)), Reason.CHAIN_LOST, WriteReason.EDITED),
        (replace(ALL, loaded=replace(LOADED, used=False)), Reason.UNLISTED, WriteReason.EDITED),
        (replace(ALL, listing=Listing.UNLISTED), Reason.UNLISTED, WriteReason.EDITED),
    ],
)
def test_every_difference_has_its_reason(seen: Seen, reason: Reason, write: WriteReason) -> None:
    decision = decide(seen, WANTED)
    assert (decision.reason, decision.part) == (reason, write)


def test_another_revision_is_replaced_by_a_higher_generation_and_kept_from_a_lower_one() -> None:
    later = replace(NOTED, generation=4, revision=2, fingerprint_sha256="0" * 64)
    seen = replace(ALL, disk=replace(DISK, fingerprint_sha256="0" * 64), noted=later)
    held = Held(2, "0" * 64, 4)
    assert decide(seen, WANTED) == Decision(Reason.NEWER, held)
    assert decide(seen, WANTED).part == held
    assert decide(seen, replace(WANTED, generation=5)).part is WriteReason.OLDER
    assert decide(replace(seen, noted=None), WANTED).part is WriteReason.OLDER


def test_a_note_that_the_disk_contradicts_is_not_believed() -> None:
    claiming = replace(NOTED, generation=999, fingerprint_sha256="0" * 64)
    assert decide(replace(ALL, noted=claiming), WANTED).part is WriteReason.OLDER


def test_the_same_revision_for_a_later_order_is_only_noted() -> None:
    assert decide(ALL, replace(WANTED, generation=4)) == Decision(Reason.NEW_ORDER)


def test_a_name_that_another_certificate_had_is_taken_over() -> None:
    other = replace(NOTED, certificate_id="c0", generation=99)
    assert decide(replace(ALL, noted=other), WANTED).part is WriteReason.OLDER
