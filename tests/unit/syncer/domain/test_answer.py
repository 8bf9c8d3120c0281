from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from certcore.challenges import ChallengeAction
from certcore.events import ChallengeWanted
from syncer.domain.answer import Outcome, Work, again_at, report_of, work_on

NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
SHOW: Final = ChallengeWanted(
    challenge_token="t" * 43,
    host="shop.example.org",
    key_authorization=f"{'t' * 43}.{'k' * 43}",
    expires_at=NOW + timedelta(hours=1),
)
REMOVE: Final = SHOW.model_copy(update={"action": ChallengeAction.REMOVE})


def test_it_is_shown_until_it_ends_whoever_says_so() -> None:
    assert work_on(SHOW, now=NOW) is Work.SHOW
    assert work_on(SHOW, now=SHOW.expires_at) is Work.REMOVE_ENDED
    assert work_on(REMOVE, now=NOW) is work_on(REMOVE, now=SHOW.expires_at) is Work.REMOVE
    assert work_on(SHOW.model_copy(update={"action": "hide"}), now=NOW) is Work.REMOVE


@pytest.mark.parametrize(
    ("work", "outcome", "done"),
    [
        (Work.SHOW, Outcome(shown=True), True),
        (Work.SHOW, Outcome(shown=False, problem="no"), False),
        (Work.REMOVE, Outcome(shown=False), True),
        (Work.REMOVE, Outcome(shown=True, problem="no"), False),
        (Work.REMOVE_ENDED, Outcome(shown=True, problem="no"), False),
    ],
)
def test_what_is_done_is_left_alone_until_its_end_and_what_is_not_is_tried_again(
    work: Work,
    outcome: Outcome,
    done: bool,  # noqa: FBT001 # a column
) -> None:
    assert outcome.done(work) is done
    waits = [
        again_at(SHOW, work, outcome, failures=failures, jitter=0.0, now=NOW) - NOW for failures in (1, 2, 3, 30)
    ]
    seconds = [3600.0] * 4 if done else [1.0, 2.0, 4.0, 60.0]
    assert [wait.total_seconds() for wait in waits] == seconds


def test_a_report_names_the_order_that_it_answers() -> None:
    event = report_of(REMOVE, Outcome(shown=True, problem="read-only"))
    assert (event.challenge_token, event.host, event.action) == ("t" * 43, "shop.example.org", "remove")
    assert (event.shown, event.detail) == (True, "read-only")
