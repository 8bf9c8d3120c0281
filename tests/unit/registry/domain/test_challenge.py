from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from certcore.challenges import ChallengeAction, ChallengeOrder
from certcore.events import ChallengeShown
from certcore.rejection import RejectedError
from registry.domain.challenge import (
    AT_ONCE,
    Challenge,
    ask,
    check_reads_challenges,
    free_slot,
    hear,
    removed,
    state_of,
    wanted,
)
from registry.domain.errors import ConflictError, TooManyError
from registry.domain.site import ServiceSeen

NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER: Final = NOW + timedelta(minutes=5)
TOKEN: Final = "t" * 43
ORDER: Final = ChallengeOrder(
    host="shop.example.org", key_authorization=f"{TOKEN}.{'k' * 43}", expires_at=NOW + timedelta(hours=1)
)


def asked(before: Challenge | None = None, order: ChallengeOrder = ORDER, slot: int = 3) -> Challenge:
    return ask(before, order, site="fra1", token=TOKEN, slot=slot, now=NOW)


def said(*, shown: bool, detail: str = "", action: ChallengeAction = ChallengeAction.SHOW) -> ChallengeShown:
    return ChallengeShown(challenge_token=TOKEN, host=ORDER.host, action=action, shown=shown, detail=detail)


def after(before: Challenge, event: ChallengeShown) -> Challenge:
    found = hear(before, event, now=LATER)
    assert found is not None
    return found


def test_what_is_ordered_is_told_as_it_is() -> None:
    event = wanted(asked())
    assert (event.challenge_token, event.host, event.action) == (TOKEN, ORDER.host, ChallengeAction.SHOW)
    assert (event.key_authorization, event.expires_at) == (ORDER.key_authorization, ORDER.expires_at)


def test_the_same_order_again_changes_nothing_but_the_end() -> None:
    shown = after(asked(), said(shown=True))
    assert asked(shown) == shown
    longer = ORDER.model_copy(update={"expires_at": NOW + timedelta(hours=2)})
    assert asked(shown, longer) == replace(shown, expires_at=longer.expires_at)
    sooner = ORDER.model_copy(update={"expires_at": NOW + timedelta(minutes=1)})
    assert asked(shown, sooner) == shown


def test_what_is_to_be_removed_may_be_ordered_anew_and_is_looked_at_anew() -> None:
    again = asked(removed(after(asked(), said(shown=True))))
    assert (again.action, again.shown_at, again.looked_at, again.slot) == (ChallengeAction.SHOW, None, None, 3)


@pytest.mark.parametrize(
    "change", [{"host": "other.example.org"}, {"key_authorization": f"{TOKEN}.{'x' * 43}"}], ids=["host", "answer"]
)
def test_a_token_never_stands_for_two_answers(change: dict[str, str]) -> None:
    for before in (asked(), removed(asked())):
        with pytest.raises(ConflictError, match="another answer for this token"):
            asked(before, ORDER.model_copy(update=change))


@pytest.mark.parametrize("ends_in", [timedelta(0), timedelta(seconds=-1), timedelta(days=8)])
def test_an_end_that_is_past_or_far_away_is_refused(ends_in: timedelta) -> None:
    with pytest.raises(RejectedError, match="expires_at"):
        asked(order=ORDER.model_copy(update={"expires_at": NOW + ends_in}))


def test_a_report_tells_since_when_it_is_shown_and_why_not() -> None:
    shown = after(asked(), said(shown=True))
    assert (shown.shown_at, shown.looked_at) == (LATER, LATER)
    lost = after(shown, said(shown=False, detail="the map is gone"))
    assert (lost.shown_at, lost.detail) == (None, "the map is gone")


def test_a_report_of_another_order_changes_nothing() -> None:
    gone = removed(asked())
    assert after(gone, said(shown=False, detail="socket away")) == gone
    assert after(asked(), said(shown=False, action=ChallengeAction.REMOVE)) == asked()
    other = said(shown=True).model_copy(update={"host": "other.example.org"})
    assert after(asked(), other) == asked()


def test_it_is_over_when_its_site_says_that_it_is_removed() -> None:
    gone = removed(asked())
    assert hear(gone, said(shown=False, action=ChallengeAction.REMOVE), now=LATER) is None
    stuck = after(gone, said(shown=True, detail="read-only", action=ChallengeAction.REMOVE))
    assert (stuck.action, stuck.detail) == (ChallengeAction.REMOVE, "read-only")


def test_a_syncer_that_reads_no_challenges_is_told_none_and_the_way_out_is() -> None:
    for contract in (None, 1, 3):
        old = ServiceSeen("fra1", "syncer", "0.1", NOW, contract=contract)
        with pytest.raises(
            ConflictError, match=r"too old to show challenges.*Update it, or prove the name by another"
        ):
            check_reads_challenges(old, "fra1")
    check_reads_challenges(ServiceSeen("fra1", "syncer", "0.2", NOW, contract=4), "fra1")
    check_reads_challenges(None, "fra1")


def test_a_site_has_a_slot_for_each_and_no_more() -> None:
    assert free_slot(frozenset(), "fra1") == 0
    assert free_slot({0, 1, 3}, "fra1") == 2
    assert free_slot(set(range(AT_ONCE - 1)), "fra1") == AT_ONCE - 1
    with pytest.raises(TooManyError, match="fra1 shows 1000 challenges") as refused:
        free_slot(set(range(AT_ONCE)), "fra1")
    assert refused.value.retry_after > timedelta(0)


def test_the_issuer_is_told_what_its_site_lacks() -> None:
    here, silent = (
        ServiceSeen("fra1", "syncer", "0.2", heard, contract=4) for heard in (NOW, NOW - timedelta(hours=1))
    )
    assert state_of(asked(), here, now=NOW).detail == "its syncer has not said anything of it yet"
    assert state_of(asked(), None, now=NOW).detail == "its syncer was never heard"
    assert state_of(asked(), silent, now=NOW).detail == "its syncer is silent since 2026-11-20T11:00:00Z"
    failed = after(asked(), said(shown=False, detail="no map"))
    assert state_of(failed, here, now=NOW).detail == "no map"
    shown = state_of(after(asked(), said(shown=True)), silent, now=NOW)
    assert (shown.shown, shown.detail, shown.looked_at) == (True, "", LATER)
