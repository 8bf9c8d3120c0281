from dataclasses import replace
from datetime import timedelta

import pytest

from issuer.domain.crl import CrlReason, ListedLeaf, PublishedCrl, decide_crl, to_be_listed
from issuer.domain.revoked import Revocation, RevocationReason
from tests.unit.issuer.samples import NOON

DAY = timedelta(days=1)


def listed(serial: int, *, ends_in: timedelta = 30 * DAY) -> ListedLeaf:
    return ListedLeaf(serial, Revocation(NOON, RevocationReason.KEY_COMPROMISE), NOON + ends_in)


def published(*serials: int) -> PublishedCrl:
    """Of four days, the first of which begins at NOON."""
    return PublishedCrl(7, frozenset(serials), NOON, NOON + 4 * DAY)


def test_a_list_that_is_not_there_is_written_also_when_nothing_is_revoked() -> None:
    assert decide_crl(None, [], now=NOON) is CrlReason.MISSING


@pytest.mark.parametrize("wanted", [(1,), (1, 2, 3), (), (1, 3)])
def test_a_list_with_other_entries_than_wanted_is_written(wanted: tuple[int, ...]) -> None:
    assert decide_crl(published(1, 2), [listed(serial) for serial in wanted], now=NOON) is CrlReason.CHANGED


def test_a_list_is_written_anew_in_the_middle_of_its_time() -> None:
    wanted = [listed(1)]
    assert decide_crl(published(1), wanted, now=NOON + 2 * DAY - timedelta(seconds=1)) is CrlReason.CURRENT
    assert decide_crl(published(1), wanted, now=NOON + 2 * DAY) is CrlReason.ENDS_SOON
    assert decide_crl(published(1), wanted, now=NOON + 9 * DAY) is CrlReason.ENDS_SOON


def test_an_entry_stays_until_a_list_was_written_after_its_leaf_ended() -> None:
    revoked = [listed(2, ends_in=-4 * DAY), listed(3, ends_in=-4 * DAY + timedelta(seconds=1)), listed(1)]
    assert [leaf.serial for leaf in to_be_listed(revoked, None, valid_for=4 * DAY, now=NOON)] == [1, 3]


def test_it_stays_too_where_the_list_before_was_older_than_that_end_and_while_the_next_one_holds() -> None:
    def still_listed(*, written: timedelta, ended: timedelta) -> bool:
        since = replace(published(1), this_update=NOON - written, next_update=NOON - written + 4 * DAY)
        return bool(to_be_listed([listed(1, ends_in=-ended)], since, valid_for=4 * DAY, now=NOON))

    assert still_listed(written=9 * DAY, ended=8 * DAY)
    assert still_listed(written=9 * DAY, ended=9 * DAY)
    assert still_listed(written=DAY, ended=9 * DAY)
    assert not still_listed(written=2 * DAY, ended=9 * DAY)
    # Nobody ever read of it.
    assert to_be_listed([listed(1, ends_in=-9 * DAY)], published(2), valid_for=4 * DAY, now=NOON) == []
