from dataclasses import replace
from datetime import timedelta

from certdelivery.model import Held, Wanted, WriteReason
from syncer.domain.stored_pair import PairSeen, judge_pair
from tests.issuing import NOON, files_target

WANTED = Wanted(
    certificate_id="crt-0001",
    name="shop",
    target=files_target(),
    place="site1",
    generation=3,
    revision=3,
    variant="platform",
    fingerprint_sha256="3" * 64,
    serial="3",
    not_after=NOON + timedelta(days=30),
)
RIGHT = PairSeen(
    revision=3, generation=3, fingerprint_sha256="3" * 64, not_after=WANTED.not_after, whole=True, reloaded=True
)
BEFORE = replace(RIGHT, generation=None)
"""As it was written before there were generations."""


def test_files_that_hold_the_revision_are_kept() -> None:
    assert judge_pair(RIGHT, WANTED) is None
    assert judge_pair(BEFORE, WANTED) is None


def test_missing_older_and_edited_files_are_written() -> None:
    assert judge_pair(None, WANTED) is WriteReason.MISSING
    assert judge_pair(replace(RIGHT, generation=2), WANTED) is WriteReason.OLDER
    assert judge_pair(replace(BEFORE, revision=2), WANTED) is WriteReason.OLDER
    assert judge_pair(replace(RIGHT, whole=False), WANTED) is WriteReason.EDITED
    assert judge_pair(replace(RIGHT, fingerprint_sha256="9" * 64), WANTED) is WriteReason.EDITED


def test_a_higher_generation_is_kept_whatever_its_revision() -> None:
    back = replace(RIGHT, generation=4, revision=2, fingerprint_sha256="2" * 64, not_after=NOON)
    assert judge_pair(back, WANTED) == Held(2, "2" * 64, 4)
    assert judge_pair(replace(back, whole=False), WANTED) is WriteReason.EDITED


def test_without_a_generation_a_later_revision_is_kept_where_the_certificate_agrees() -> None:
    newer = replace(BEFORE, revision=4, fingerprint_sha256="4" * 64, not_after=NOON + timedelta(days=40))
    assert judge_pair(newer, WANTED) == Held(4, "4" * 64)
    assert judge_pair(replace(newer, not_after=NOON), WANTED) is WriteReason.EDITED


def test_right_files_whose_reader_was_not_told_of_them_need_the_reload_only() -> None:
    assert judge_pair(replace(RIGHT, reloaded=False), WANTED) is WriteReason.NOT_ACTIVE
