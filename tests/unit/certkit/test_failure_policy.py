from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from certcore.errors import OwnFaultError, PermanentError, TransientError
from certkit.failure_policy import DeadLetter, FailureLimits, Fate, Retry, decide, describe

_LIMITS = FailureLimits(base_delay=timedelta(seconds=1), max_delay=timedelta(seconds=60), max_tries=5)


class _Body(BaseModel):
    count: int


def _invalid() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        _Body.model_validate({"count": "-----BEGIN PRIVATE KEY-----"})
    return caught.value


def test_a_transient_failure_is_tried_again_with_growing_delay() -> None:
    delays = [decide(TransientError("later"), tries=tries, limits=_LIMITS) for tries in (1, 2, 3)]
    assert delays == [Retry(timedelta(seconds=seconds), Fate.TRANSIENT) for seconds in (1, 2, 4)]


def test_the_other_side_may_ask_for_more_time() -> None:
    error = TransientError("busy", retry_after=timedelta(seconds=30))
    assert decide(error, tries=1, limits=_LIMITS) == Retry(timedelta(seconds=30), Fate.TRANSIENT)


@pytest.mark.parametrize(("error", "fate"), [(PermanentError("never"), Fate.PERMANENT), (_invalid(), Fate.INVALID)])
def test_what_can_not_succeed_is_set_aside_at_once(error: Exception, fate: Fate) -> None:
    assert decide(error, tries=1, limits=_LIMITS) == DeadLetter(fate)


@pytest.mark.parametrize("error", [TransientError("later"), RuntimeError("a fault of ours")])
def test_too_many_tries_end_in_a_dead_letter(error: Exception) -> None:
    assert decide(error, tries=5, limits=_LIMITS) == DeadLetter(Fate.TOO_MANY_TRIES)


def test_no_message_is_set_aside_for_a_fault_of_the_service_itself() -> None:
    decision = decide(OwnFaultError("the disk is full"), tries=1000, limits=FailureLimits())
    assert decision == Retry(timedelta(seconds=30), Fate.OWN_FAULT)
    assert decide(OwnFaultError("locked"), tries=1, limits=_LIMITS) == Retry(timedelta(seconds=1), Fate.OWN_FAULT)


@given(st.integers(min_value=1, max_value=10**6))
def test_no_delay_is_longer_than_the_limit(tries: int) -> None:
    decision = decide(RuntimeError(), tries=tries, limits=FailureLimits(max_tries=10**7))
    assert isinstance(decision, Retry)
    assert timedelta(0) < decision.delay <= FailureLimits().max_delay


def test_an_invalid_payload_is_described_by_place_and_not_by_content() -> None:
    assert describe(_invalid()) == "_Body: count"


def test_a_description_is_one_line() -> None:
    assert "\n" not in describe(RuntimeError("first\nsecond\rthird"))
