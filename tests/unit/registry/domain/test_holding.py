"""What windows and freezes make of a renewal: it waits, but never into the last sixth unless that is meant."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.policy.document import Policy
from certcore.policy.openings import OPEN, Calendar
from certcore.policy.windows import Freeze, Window
from registry.domain.holding import calendar_for, frozen, held
from registry.domain.planning import RenewalReason, latest, planned
from registry.domain.renewal import decide, next_renewal
from registry.domain.revision import SuggestedWindow
from tests.unit.registry.samples import NOON, approval, placement, revision, rollout

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NEWEST = revision()
PLAN = planned(NEWEST)
LAST_SIXTH = NOON + 75 * DAY


def frozen_for(begins: timedelta, ends: timedelta, *, hard: bool = False) -> Calendar:
    said = {"from": NOON + begins, "to": NOON + ends, "reason": "sale", "hard": hard}
    return Calendar((), (Freeze.model_validate(said),))


def nightly(begins: str = "01:00", ends: str = "03:00", **changes: Any) -> Calendar:
    return Calendar((Window.model_validate({"name": "night", "from": begins, "to": ends, **changes}),))


def test_a_renewal_waits_for_the_next_opening_of_a_window() -> None:
    found = held(PLAN, NEWEST, nightly(), now=NOON)
    assert found.reason is RenewalReason.OUTSIDE_WINDOWS
    assert PLAN.at < found.at < PLAN.at + DAY
    assert (found.at.hour, found.at.minute) == (1, 0)
    assert found.detail == f"window night (01:00 to 03:00 UTC) opens at {found.at:%Y-%m-%dT%H:%MZ}"


def test_where_a_window_was_missed_the_next_one_is_waited_for_and_the_renewal_goes_on_in_it() -> None:
    first = held(PLAN, NEWEST, nightly(), now=NOON)
    missed = held(PLAN, NEWEST, nightly(), now=first.at + 5 * HOUR)
    assert (missed.at, missed.reason) == (first.at + DAY, RenewalReason.OUTSIDE_WINDOWS)
    open_now = held(PLAN, NEWEST, nightly(), now=missed.at + HOUR)
    assert (open_now.at, open_now.reason) == (first.at, RenewalReason.DUE)


def test_a_freeze_is_waited_for_until_it_ends() -> None:
    found = held(PLAN, NEWEST, frozen_for(50 * DAY, 70 * DAY), now=NOON)
    assert (found.at, found.reason) == (NOON + 70 * DAY, RenewalReason.FROZEN)
    assert found.detail == "freeze (sale) lasts until 2026-05-10T12:00Z"


def test_when_the_last_sixth_begins_a_renewal_goes_on_all_the_same() -> None:
    calendar = frozen_for(50 * DAY, 80 * DAY)
    found = held(PLAN, NEWEST, calendar, now=NOON)
    assert (found.at, found.reason) == (LAST_SIXTH, RenewalReason.URGENT)
    assert "else it would wait: freeze (sale) lasts until 2026-05-20T12:00Z" in found.detail
    due = held(PLAN, NEWEST, calendar, now=LAST_SIXTH + HOUR)
    assert (due.at, due.reason) == (LAST_SIXTH, RenewalReason.URGENT)


def test_a_hard_freeze_holds_even_then_and_tells_when_what_is_issued_ends() -> None:
    found = held(PLAN, NEWEST, frozen_for(50 * DAY, 95 * DAY, hard=True), now=LAST_SIXTH + HOUR)
    assert (found.at, found.reason) == (NOON + 95 * DAY, RenewalReason.FROZEN)
    assert (
        found.detail
        == "hard freeze (sale) lasts until 2026-06-04T12:00Z, and what is issued ends at 2026-05-30T12:00Z"
    )


def test_nothing_waits_beyond_the_window_of_its_ca() -> None:
    told = SuggestedWindow(NOON + 5 * DAY, NOON + 7 * DAY, NOON + 6 * DAY, NOON, "https://ca.test/why")
    newest = replace(NEWEST, window=told)
    calendar = frozen_for(5 * DAY, 20 * DAY)
    found = held(planned(newest), newest, calendar, now=NOON)
    assert (found.at, found.reason) == (told.end, RenewalReason.URGENT)
    assert found.detail.endswith("because https://ca.test/why")
    assert found.detail.startswith("the CA's window is over then")
    # The CA revokes: what it suggests is past.
    gone = replace(NEWEST, window=replace(told, start=NOON - 2 * DAY, end=NOON - DAY, chosen=NOON - DAY))
    assert held(planned(gone), gone, calendar, now=NOON + 6 * DAY).at <= NOON + 6 * DAY


def test_a_person_is_held_by_a_freeze_until_the_last_sixth_begins_and_by_a_hard_one_longer() -> None:
    soft, hard = frozen_for(50 * DAY, 80 * DAY), frozen_for(50 * DAY, 80 * DAY, hard=True)
    assert frozen(NEWEST, soft, now=NOON + 49 * DAY) is None
    assert frozen(NEWEST, soft, now=NOON + 51 * DAY) == soft.freezes[0]
    assert frozen(NEWEST, soft, now=LAST_SIXTH) is None
    assert frozen(NEWEST, hard, now=LAST_SIXTH) == hard.freezes[0]
    assert frozen(NEWEST, nightly(), now=NOON) is None


def test_the_decision_tells_what_holds_it_and_whether_it_went_on_all_the_same() -> None:
    of, calendar = rollout(placements=(placement(holds=1),)), frozen_for(50 * DAY, 80 * DAY)
    assert not decide(of, approval(), calendar, now=NOON + 65 * DAY, asked=False).due
    short = decide(of, approval(), frozen_for(50 * DAY, 70 * DAY), now=NOON + 65 * DAY, asked=False)
    assert short.why == "frozen: freeze (sale) lasts until 2026-05-10T12:00Z"
    urgent = decide(of, approval(), calendar, now=LAST_SIXTH, asked=False)
    assert urgent.due
    assert urgent.why.startswith("urgent: all but a sixth of its lifetime is over then")
    assert next_renewal(of, approval(), calendar, now=NOON).at == LAST_SIXTH


@pytest.mark.parametrize(("match", "held_there"), [({"sites": ["site1"]}, True), ({"sites": ["hub"]}, False)])
def test_where_its_targets_are_and_of_which_kind_is_compared(match: dict[str, Any], held_there: bool) -> None:  # noqa: FBT001 # a column
    said = {"version": 1, "windows": [{"name": "night", "from": "01:00", "to": "03:00", "match": match}]}
    found = calendar_for(Policy.model_validate(said), rollout())
    assert bool(found.windows) == held_there
    assert calendar_for(None, rollout()) == OPEN


begins = st.timedeltas(timedelta(0), timedelta(days=100))
lengths = st.timedeltas(timedelta(minutes=1), timedelta(days=100))


@given(begins, lengths, st.booleans(), st.integers(0, 23), begins)
def test_only_a_hard_freeze_holds_a_renewal_into_the_last_sixth(
    start: timedelta,
    length: timedelta,
    hard: bool,  # noqa: FBT001 # drawn
    hour: int,
    now: timedelta,
) -> None:
    instant: datetime = NOON + now
    freeze = frozen_for(start, start + length, hard=hard).freezes
    windows = nightly(f"{hour:02}:00", f"{hour:02}:30", days=["sun"]).windows
    found = held(PLAN, NEWEST, Calendar(windows, freeze), now=instant)
    assert found.at >= PLAN.at
    if not hard:
        assert found.at <= max(latest(NEWEST), instant)
    if found.at > instant:
        # Later looks find the same until then.
        assert held(PLAN, NEWEST, Calendar(windows, freeze), now=instant + (found.at - instant) / 2).at == found.at
