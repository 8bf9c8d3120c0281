from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.failure import FailureReason
from issuer.domain.fallback import Fallback, FallbackReason, fall_back
from issuer.domain.job import Job, JobState
from tests.unit.issuer.samples import NOON, job, order

PATIENCE = timedelta(minutes=30)
KNOWN = ("first", "second", "third")
LONG_AWAY = {"first": NOON - PATIENCE}


def keyed(**fields: Any) -> Job:
    return job(JobState.KEYED, issue_order=order(cas=KNOWN), **{"ca": "first", **fields})


def decided(some: Job, away: dict[str, Any] | None = None, hindered: dict[str, str] | None = None) -> Fallback:
    return fall_back(some, known=KNOWN, away=away or {}, hindered=hindered or {}, patience=PATIENCE, now=NOON)


def stays(reason: FallbackReason) -> Fallback:
    return Fallback(None, reason)


def test_a_ca_that_is_away_for_long_is_left_for_the_next() -> None:
    assert decided(keyed(), LONG_AWAY) == Fallback("second", FallbackReason.CA_AWAY)
    assert decided(keyed(), {"first": NOON - PATIENCE / 2}) == stays(FallbackReason.NOT_NEEDED)


def test_one_that_refused_the_order_is_left_at_once() -> None:
    for reason in (FailureReason.CA_REFUSED, FailureReason.CAA_FORBIDS, FailureReason.NAME_REJECTED):
        assert decided(keyed(reason=reason)) == Fallback("second", FallbackReason.CA_REFUSED)
    for reason in (FailureReason.RATE_LIMITED, FailureReason.ORDER_INVALID, FailureReason.CA_UNREACHABLE):
        assert decided(keyed(reason=reason)) == stays(FallbackReason.NOT_NEEDED)


def test_the_next_is_one_that_is_known_and_there() -> None:
    assert decided(keyed(), {**LONG_AWAY, "second": NOON}) == Fallback("third", FallbackReason.CA_AWAY)
    stranger = replace(keyed(), issue_order=order(cas=("first", "stranger", "third")))
    assert decided(stranger, LONG_AWAY) == Fallback("third", FallbackReason.CA_AWAY)
    assert decided(keyed(ca="third"), {"third": NOON - PATIENCE}) == stays(FallbackReason.NO_OTHER_CA)


def test_what_names_one_ca_keeps_it() -> None:
    some = replace(keyed(), issue_order=order(issuer="first"))
    assert decided(some, LONG_AWAY) == stays(FallbackReason.NO_OTHER_CA)


def test_one_that_is_hindered_is_passed_over_and_where_all_are_the_reason_names_each() -> None:
    some, why = keyed(reason=FailureReason.CA_REFUSED), {"second": "CAA names nobody", "third": "no answer"}
    assert decided(some, hindered={"second": "CAA names nobody"}) == Fallback("third", FallbackReason.CA_REFUSED)
    told = "not second: CAA names nobody; not third: no answer"
    assert decided(some, hindered=why) == Fallback(None, FallbackReason.OTHERS_HINDERED, told)
    # What isn't there isn't blamed on CAA records.
    away = {"second": NOON, "third": NOON}
    assert decided(some, away, hindered=why) == stays(FallbackReason.NO_OTHER_CA)
    assert decided(keyed(), hindered=why) == stays(FallbackReason.NOT_NEEDED)


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.KEYED}))
def test_no_job_leaves_while_a_finalize_may_be_unknown(state: JobState) -> None:
    some = replace(job(state), issue_order=order(cas=KNOWN), ca="first")
    assert decided(some, LONG_AWAY) == stays(FallbackReason.FINALIZE_UNKNOWN)
    assert decided(keyed(lost=1), LONG_AWAY) == stays(FallbackReason.FINALIZE_UNKNOWN)


@given(st.permutations(KNOWN), st.sets(st.sampled_from(KNOWN)), st.sampled_from(FailureReason))
def test_a_job_never_comes_back_to_a_ca_that_it_left(cas: list[str], away: set[str], reason: FailureReason) -> None:
    some, seen = replace(keyed(reason=reason), issue_order=order(cas=tuple(cas)), ca=cas[0]), [cas[0]]
    while (ca := decided(some, dict.fromkeys(away, NOON - PATIENCE)).ca) is not None:
        seen.append(ca)
        some = replace(some, ca=ca)
    assert len(set(seen)) == len(seen)
