from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from certcore.events import MustAct, WaitCode
from issuer.domain.failure import WAITS, FailureReason
from issuer.domain.job import JobId
from issuer.domain.wait_notice import HeldUp, Wait, is_news, report_of, wait_of
from tests.unit.issuer.samples import NOON

MINUTE, TOMORROW = timedelta(minutes=1), NOON + timedelta(days=1)
LIMITED = FailureReason.CA_LIMITS


def held(reason: FailureReason | None = LIMITED, **fields: Any) -> HeldUp:
    waits = {"problem": f"{reason}: why", "problem_at": NOON, "wait_until": TOMORROW, "due_at": TOMORROW}
    return HeldUp(JobId("shop", 2), "a-ca", reason, **{**waits, **fields})


def found(some: HeldUp, *, after: timedelta = MINUTE, away: datetime | None = None) -> Wait | None:
    return wait_of(some, away={"a-ca": away} if away is not None else {}, now=NOON + after)


@pytest.mark.parametrize("reason", sorted(WAITS))
def test_a_wait_is_told_when_it_takes_longer_than_a_moment(reason: FailureReason) -> None:
    assert found(held(reason), after=MINUTE - timedelta(seconds=1)) is None
    wait = found(held(reason))
    assert wait is not None
    assert (wait.job, wait.reason, wait.detail, wait.since) == (JobId("shop", 2), reason, f"{reason}: why", NOON)
    # It goes on as soon as its CA does, whenever it is looked at.
    assert (wait.until is None) == (reason in {FailureReason.CA_AWAY, FailureReason.CA_BUSY})
    assert report_of(wait).code == WaitCode(reason)


def test_each_kind_of_wait_has_a_code() -> None:
    assert {str(reason) for reason in WAITS} == set(WaitCode)


def test_who_must_act_is_told() -> None:
    for reason, must_act in ((LIMITED, MustAct.NOBODY), (FailureReason.NOT_PROPAGATED, MustAct.DNS_OWNER)):
        wait = found(held(reason))
        assert wait is not None
        assert report_of(wait).must_act == must_act


def test_what_is_told_as_a_failure_by_then_is_no_wait() -> None:
    for reason in (FailureReason.ORDER_SLOW, FailureReason.NOT_PROPAGATED):
        assert found(held(reason), after=9 * MINUTE) is not None
        assert found(held(reason), after=10 * MINUTE) is None
    assert found(held(), after=10 * MINUTE) is not None


def test_a_job_that_failed_or_was_never_begun_waits_for_nothing_while_its_ca_is_there() -> None:
    for reason in (None, FailureReason.CA_REFUSED, FailureReason.CA_UNREACHABLE):
        assert found(held(reason, due_at=NOON)) is None


def test_what_is_due_at_a_ca_that_is_away_waits_for_it() -> None:
    never_begun = held(None, problem="", problem_at=None, wait_until=None, due_at=NOON)
    assert found(never_begun, away=NOON + timedelta(seconds=1)) is None
    wait = found(never_begun, away=NOON)
    assert wait == Wait(
        JobId("shop", 2),
        "a-ca",
        FailureReason.CA_AWAY,
        "ca_away: a-ca doesn't answer since 2026-03-01T12:00:00Z",
        NOON,
        None,
    )
    # Those that met it, too; but not what has a reason of its own to wait, or to come later.
    assert found(held(FailureReason.CA_UNREACHABLE), away=NOON) == wait
    assert found(held(FailureReason.CA_REFUSED), away=NOON) is None
    limited = found(held(), away=NOON)
    assert limited is not None
    assert limited.reason is LIMITED


def test_it_is_told_once_a_change_and_not_at_each_try() -> None:
    wait = found(held())
    assert wait is not None
    assert is_news(wait, None)
    assert not is_news(wait, wait)
    assert not is_news(replace(wait, until=TOMORROW + 9 * MINUTE, detail="another try"), wait)
    assert is_news(replace(wait, until=TOMORROW + 10 * MINUTE), wait)
    assert is_news(replace(wait, since=NOON + MINUTE), wait)
    assert is_news(replace(wait, reason=FailureReason.CA_AWAY), wait)
    away = replace(wait, reason=FailureReason.CA_AWAY, until=None)
    assert not is_news(replace(away, detail="asked again"), away)
