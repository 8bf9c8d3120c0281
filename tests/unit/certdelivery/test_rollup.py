from datetime import timedelta

from certcore.events import DeliveryReason
from certdelivery.model import Destination, Failure, Held, Progress
from certdelivery.rollup import (
    AtDestination,
    Fails,
    Holds,
    HoldsNewer,
    Progresses,
    RolledBack,
    already_reported,
    rollup,
)
from tests.issuing import NOON

BLUE, GREEN = Destination("kubernetes", "blue"), Destination("kubernetes", "green")
HELD = AtDestination()


def _failed(reason: DeliveryReason, detail: str, seconds: int = 1) -> AtDestination:
    return AtDestination(failures=(Failure(reason, detail),), next_try=NOON + timedelta(seconds=seconds))


def test_a_target_holds_only_where_all_its_destinations_do() -> None:
    assert rollup({BLUE: HELD, GREEN: None}) is None
    assert rollup({BLUE: HELD, GREEN: HELD}) == Holds(repaired=False)
    assert rollup({BLUE: HELD, GREEN: AtDestination(repaired=True)}) == Holds(repaired=True)


def test_one_failing_destination_is_reported_while_another_was_not_looked_at_yet() -> None:
    summary = rollup({BLUE: None, GREEN: _failed(DeliveryReason.UNREACHABLE, "green is down")})
    assert summary == Fails(DeliveryReason.UNREACHABLE, "green is down", NOON + timedelta(seconds=1))


def test_what_a_person_must_mend_comes_first_and_the_next_try_is_the_earliest() -> None:
    summary = rollup(
        {
            BLUE: _failed(DeliveryReason.UNREACHABLE, "blue is down", 2),
            GREEN: _failed(DeliveryReason.CONFLICT, "a/b: is not certbus's", 5),
        },
    )
    assert isinstance(summary, Fails)
    assert summary.reason is DeliveryReason.CONFLICT
    assert summary.detail == "a/b: is not certbus's; blue is down"
    assert summary.next_try == NOON + timedelta(seconds=2)


def test_only_the_first_few_of_many_failures_are_named() -> None:
    failures = tuple(Failure(DeliveryReason.REFUSED, f"ns{number}: no" + "x" * 300) for number in range(200))
    summary = rollup({BLUE: AtDestination(failures=failures)})
    assert isinstance(summary, Fails)
    assert summary.detail.endswith("; and 197 more")
    assert len(summary.detail) <= 500


def test_an_unknown_destination_fails_the_target_although_the_others_hold() -> None:
    summary = rollup({BLUE: HELD}, (Failure(DeliveryReason.UNKNOWN_PLACE, "this place has no cluster red"),))
    assert summary == Fails(DeliveryReason.UNKNOWN_PLACE, "this place has no cluster red", None)


def test_every_reason_has_a_rank() -> None:
    for reason in DeliveryReason:
        summary = rollup({BLUE: _failed(reason, "x")})
        assert isinstance(summary, Fails)
        assert summary.reason is reason


def test_a_slow_delivery_is_reported_once_a_step() -> None:
    summary = rollup({BLUE: HELD, GREEN: AtDestination(progress=Progress("in_review", next_look=NOON))})
    assert summary == Progresses(Progress("in_review", next_look=NOON))
    later = Progresses(Progress("in_review", next_look=NOON + timedelta(hours=1)))
    assert already_reported(summary, later)
    assert not already_reported(summary, Progresses(Progress("deployed")))


def test_what_was_put_back_is_reported_with_the_reason() -> None:
    held = Held(1, "f" * 64, 3)
    failed = AtDestination(failures=(Failure(DeliveryReason.NOT_SERVED, "serves another"),), restored=held)
    assert rollup({BLUE: failed}) == RolledBack(held, DeliveryReason.NOT_SERVED, "serves another")


def test_of_several_newer_copies_the_highest_generation_is_reported() -> None:
    outcomes = {BLUE: AtDestination(newer=Held(2, "f" * 64, 7)), GREEN: AtDestination(newer=Held(3, "e" * 64, 6))}
    assert rollup(outcomes) == HoldsNewer(Held(2, "f" * 64, 7))


def test_a_repair_is_news_each_time_and_a_holding_target_only_once() -> None:
    assert already_reported(Holds(), Holds())
    assert not already_reported(Holds(), Holds(repaired=True))
    assert not already_reported(None, Holds())


def test_that_a_destination_is_out_is_reported_once_and_every_other_failed_try() -> None:
    def failed(second: int, *, out: bool) -> Fails:
        failures = (Failure(DeliveryReason.UNREACHABLE, "down", out=out),)
        outcome = AtDestination(failures=failures, next_try=NOON + timedelta(seconds=second))
        summary = rollup({BLUE: outcome})
        assert isinstance(summary, Fails)
        return summary

    assert already_reported(failed(1, out=True), failed(2, out=True))
    assert not already_reported(failed(1, out=False), failed(2, out=False))
    assert not already_reported(failed(1, out=False), failed(2, out=True))
