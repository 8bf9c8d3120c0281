from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.events import RegistryAnchored
from registry.domain.anchor import StandingReason, compare
from tests.unit.registry.samples import NOON


def anchor(database: str = "ours", *, epoch: int = 0, events: int = 10, audit: int = 5) -> RegistryAnchored:
    return RegistryAnchored(
        database_id=database, epoch=epoch, event_sequence=events, audit_sequence=audit, anchored_at=NOON
    )


def test_a_database_without_anchors_goes_on() -> None:
    found = compare(anchor(epoch=3), [], unknown_event=None)
    assert (found.reason, found.epoch, found.restored) == (StandingReason.IN_STEP, 3, False)


@pytest.mark.parametrize("behind", [anchor(events=10), anchor(events=2, audit=1), anchor(epoch=0, events=99)])
def test_a_database_that_its_anchors_are_behind_goes_on(behind: RegistryAnchored) -> None:
    own = anchor(epoch=1) if behind.event_sequence == 99 else anchor()
    assert not compare(own, [behind], unknown_event=None).restored


@pytest.mark.parametrize("ahead", [anchor(events=11), anchor(audit=6), anchor(epoch=1, events=0, audit=0)])
def test_a_database_that_an_anchor_is_ahead_of_is_an_older_copy(ahead: RegistryAnchored) -> None:
    found = compare(anchor(), [anchor(events=9), ahead], unknown_event=None)
    assert found.reason is StandingReason.OLDER_COPY
    assert found.epoch == ahead.epoch + 1


def test_the_reason_says_how_far_the_copy_came_and_how_far_it_was() -> None:
    ahead = anchor(events=40).model_copy(update={"anchored_at": NOON + timedelta(hours=1)})
    detail = compare(anchor(), [ahead], unknown_event=None).detail
    assert "event 10 of epoch 0" in detail
    assert "event 40 of epoch 0 was anchored at 2026-03-01T13:00:00Z" in detail


def test_beside_the_anchors_of_another_database_everything_was_lost() -> None:
    found = compare(anchor(events=0, audit=0), [anchor("theirs", epoch=4)], unknown_event=None)
    assert (found.reason, found.epoch) == (StandingReason.OTHER_DATABASE, 5)


def test_another_database_whose_epoch_was_passed_says_nothing_any_more() -> None:
    assert not compare(anchor(epoch=5), [anchor("theirs", epoch=4)], unknown_event=None).restored


def test_a_newer_event_on_the_bus_that_it_does_not_have_shows_a_loss_that_no_anchor_shows() -> None:
    found = compare(anchor(), [anchor()], unknown_event="e-77")
    assert (found.reason, found.epoch) == (StandingReason.UNKNOWN_EVENT, 1)
    assert "e-77" in found.detail


anchors = st.builds(
    anchor,
    st.sampled_from(["ours", "theirs"]),
    epoch=st.integers(0, 5),
    events=st.integers(0, 5),
    audit=st.integers(0, 5),
)


@given(own=anchors, found=st.lists(anchors, max_size=5), event=st.sampled_from([None, "e-1"]))
def test_an_epoch_that_began_is_above_all_that_were_seen_and_begins_once(
    own: RegistryAnchored, found: list[RegistryAnchored], event: Any
) -> None:
    standing = compare(own, found, unknown_event=event)
    assert standing.epoch >= own.epoch
    if standing.restored:
        assert all(standing.epoch > item.epoch for item in (own, *found))
        # After a crash in between, the same anchors are found again.
        again = compare(own.model_copy(update={"epoch": standing.epoch}), found, unknown_event=None)
        assert not again.restored
