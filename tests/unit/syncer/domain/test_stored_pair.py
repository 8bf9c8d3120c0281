from dataclasses import replace
from datetime import timedelta

from syncer.domain.stored_pair import PairSeen, judge_pair
from syncer.domain.target import Wanted, WriteReason
from tests.unit.syncer.issuing import NOON, files_target

WANTED = Wanted(
    certificate_id="crt-0001",
    name="shop",
    revision=3,
    fingerprint_sha256="3" * 64,
    not_after=NOON + timedelta(days=30),
    site="site1",
    target=files_target(),
)
RIGHT = PairSeen(revision=3, fingerprint_sha256="3" * 64, not_after=WANTED.not_after, whole=True, reloaded=True)


def test_files_that_hold_the_revision_are_kept() -> None:
    assert judge_pair(RIGHT, WANTED) is None


def test_missing_older_and_edited_files_are_written() -> None:
    assert judge_pair(None, WANTED) is WriteReason.MISSING
    assert judge_pair(replace(RIGHT, revision=2), WANTED) is WriteReason.OLDER
    assert judge_pair(replace(RIGHT, whole=False), WANTED) is WriteReason.EDITED
    assert judge_pair(replace(RIGHT, fingerprint_sha256="9" * 64), WANTED) is WriteReason.EDITED


def test_a_newer_revision_is_kept_where_the_certificate_agrees() -> None:
    newer = replace(RIGHT, revision=4, fingerprint_sha256="4" * 64, not_after=NOON + timedelta(days=40))
    assert judge_pair(newer, WANTED) is None
    assert judge_pair(replace(newer, not_after=NOON), WANTED) is WriteReason.EDITED
    assert judge_pair(replace(newer, whole=False), WANTED) is WriteReason.EDITED


def test_right_files_whose_reader_was_not_told_of_them_need_the_reload_only() -> None:
    assert judge_pair(replace(RIGHT, reloaded=False), WANTED) is WriteReason.NOT_RELOADED
