from dataclasses import replace

import pytest

from cdn_pusher.domain.decision import Held, Listing, Loaded, OnDisk, Reason, Wanted, decide

WANTED = Wanted(fingerprint_sha256="f" * 64, serial="1a")
DISK = OnDisk(fingerprint_sha256="f" * 64, sha1="S", digest="d", chain_length=2, normal=True)
LOADED = Loaded(serial="1a", sha1="S", chain_length=2, used=True)
ALL = Held(DISK, LOADED, Listing.LISTED)


def test_what_is_held_is_left_alone() -> None:
    decision = decide(ALL, WANTED)
    assert (decision.push, decision.reason) == (False, Reason.HELD)
    assert not decide(ALL, replace(WANTED, digest="d")).push


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        (Held(None, None, Listing.UNLISTED), Reason.NEW),
        (replace(ALL, disk=None), Reason.DISK_LOST),
        (replace(ALL, disk=replace(DISK, fingerprint_sha256="0" * 64)), Reason.NEW_REVISION),
        (replace(ALL, disk=replace(DISK, normal=False)), Reason.DISK_CHANGED),
        (replace(ALL, loaded=None), Reason.MEMORY_LOST),
        (replace(ALL, loaded=Loaded(None, None, 1, used=False)), Reason.MEMORY_LOST),
        (replace(ALL, loaded=replace(LOADED, serial="2b")), Reason.MEMORY_CHANGED),
        (replace(ALL, loaded=replace(LOADED, sha1="T")), Reason.MEMORY_CHANGED),
        (replace(ALL, loaded=replace(LOADED, chain_length=1)), Reason.CHAIN_LOST),
        (replace(ALL, loaded=replace(LOADED, used=False)), Reason.UNLISTED),
        (replace(ALL, listing=Listing.UNLISTED), Reason.UNLISTED),
    ],
)
def test_every_difference_has_its_reason(held: Held, reason: Reason) -> None:
    decision = decide(held, WANTED)
    assert (decision.push, decision.reason) == (True, reason)


def test_a_file_that_isnt_what_was_written_is_written_again() -> None:
    assert decide(ALL, replace(WANTED, digest="other")).reason is Reason.DISK_CHANGED
