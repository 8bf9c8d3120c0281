from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from certcore.events import IssueOrder
from issuer.domain.failure import FailureReason
from issuer.domain.job import Job, JobState, Step, next_step
from issuer.domain.key_material import KeyMaterial
from issuer.domain.reopening import ReopeningReason, hand_over_again, reopen, reopen_listed
from issuer.domain.revoked import Revocation, RevocationReason
from tests.unit.issuer.samples import NOON, job, order

DAY = timedelta(days=1)
REVOKED = Revocation(NOON - DAY, RevocationReason.KEY_COMPROMISE)
KEY = KeyMaterial(b"a CSR", "an SPKI hash", ())


def stored(**fields: Any) -> Job:
    """A job whose bundle the registry took yesterday."""
    kept: dict[str, Any] = {"key": KEY, "chain_pem": "a chain", "stored_at": NOON - DAY, "not_after": NOON + DAY}
    return job(**{"state": JobState.STORED, **kept, **fields})


def gave_up(**fields: Any) -> Job:
    failed: dict[str, Any] = {
        "given_up": True,
        "reason": FailureReason.UNKNOWN_CA,
        "problem": "unknown_ca: no",
        "problem_at": NOON,
    }
    return job(**{**failed, **fields})


def test_a_finished_job_is_reported_again() -> None:
    reopening = reopen(stored(), order(), now=NOON)
    assert reopening.reason is ReopeningReason.TOLD_AGAIN
    assert next_step(reopening.job, now=NOON) is Step.REPORT


def test_an_old_event_has_nothing_issued_again() -> None:
    expired = stored(key=None, chain_pem=None, not_after=NOON - DAY)
    reopening = reopen(expired, order(), now=NOON)
    assert (reopening.job, reopening.reason) == (expired, ReopeningReason.EXPIRED)


def test_what_the_registry_lists_and_had_is_handed_over_again_with_what_is_kept() -> None:
    reopening = reopen_listed(stored(), order(), now=NOON, first=False)
    assert reopening.reason is ReopeningReason.HANDED_OVER_AGAIN
    assert next_step(reopening.job, now=NOON) is Step.STORE_BUNDLE
    assert (reopening.job.key, reopening.job.chain_pem) == (KEY, "a chain")


def test_what_was_stored_just_now_is_heard_soon() -> None:
    just_now = stored(stored_at=NOON - timedelta(seconds=14))
    reopening = reopen_listed(just_now, order(), now=NOON, first=True)
    assert (reopening.job, reopening.reason) == (just_now, ReopeningReason.HEARD_SOON)
    later = reopen_listed(just_now, order(), now=NOON + timedelta(seconds=1), first=True)
    assert later.reason is ReopeningReason.HANDED_OVER_AGAIN


@pytest.mark.parametrize("fields", [{"not_after": NOON}, {"key": None, "chain_pem": None, "not_after": NOON - DAY}])
def test_what_is_listed_and_no_longer_valid_is_issued_anew(fields: dict[str, object]) -> None:
    before = stored(version=7, abandoned=2, validation_method="dns-01", **fields)
    reopening = reopen_listed(before, order("mended.example.org"), now=NOON, first=False)
    assert reopening.reason is ReopeningReason.ISSUED_ANEW
    assert next_step(reopening.job, now=NOON) is Step.MAKE_KEY
    assert reopening.job == Job(before.id, order("mended.example.org"), before.accepted_at, version=7)


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.STORED])
@pytest.mark.parametrize("wait", [None, DAY])
def test_the_list_leaves_alone_what_is_not_finished(state: JobState, wait: timedelta | None) -> None:
    unfinished = job(state, wait_until=wait and NOON + wait)
    reopening = reopen_listed(unfinished, order("other.example.org"), now=NOON, first=True)
    assert (reopening.job, reopening.reason) == (unfinished, ReopeningReason.UNDER_WAY)


def test_the_list_has_what_was_given_up_tried_at_a_start_and_each_hour_and_where_it_changed() -> None:
    def reason(listed: IssueOrder | None = None, *, after: timedelta = timedelta(), first: bool = False) -> str:
        return reopen_listed(gave_up(), listed or order(), now=NOON + after, first=first).reason

    assert reason() is ReopeningReason.GAVE_UP
    assert reason(after=timedelta(minutes=59)) is ReopeningReason.GAVE_UP
    assert reason(after=timedelta(hours=1)) is ReopeningReason.TRIED_NOW
    assert reason(first=True) is ReopeningReason.TRIED_NOW
    assert reason(order("mended.example.org")) is ReopeningReason.TRIED_NOW


def test_a_bundle_that_was_lost_is_handed_over_again_at_once() -> None:
    reopening = hand_over_again(stored(stored_at=NOON), now=NOON)
    assert reopening.reason is ReopeningReason.HANDED_OVER_AGAIN
    assert next_step(reopening.job, now=NOON) is Step.STORE_BUNDLE


@pytest.mark.parametrize("reason", [FailureReason.ORDER_LOST, FailureReason.ORDER_STALLED])
def test_what_gave_up_over_lost_orders_waits_for_a_person(reason: FailureReason) -> None:
    lost = gave_up(reason=reason, state=JobState.KEYED)
    for first, after in ((True, timedelta()), (False, DAY)):
        assert reopen_listed(lost, order(), now=NOON + after, first=first).reason is ReopeningReason.GAVE_UP
    changed = reopen_listed(lost, order("other.example.org"), now=NOON, first=False)
    assert changed.reason is ReopeningReason.TRIED_NOW
    assert reopen(lost, order(), now=NOON).reason is ReopeningReason.TRIED_NOW


def test_a_bundle_that_waits_to_be_handed_over_waits_no_longer() -> None:
    waiting = job(JobState.ISSUED, key=KEY, chain_pem="a chain", wait_until=NOON + DAY)
    reopening = hand_over_again(waiting, now=NOON)
    assert next_step(reopening.job, now=NOON) is Step.STORE_BUNDLE
    assert hand_over_again(reopening.job, now=NOON).reason is ReopeningReason.UNDER_WAY


def test_a_lost_bundle_has_nothing_ordered() -> None:
    for left in (stored(not_after=NOON), stored(key=None, chain_pem=None), job(JobState.KEYED), gave_up()):
        assert hand_over_again(left, now=NOON).job is left


def test_a_job_that_waits_is_tried_now() -> None:
    reopening = reopen(job(JobState.KEYED, wait_until=NOON + timedelta(days=1)), order(), now=NOON)
    assert reopening.reason is ReopeningReason.TRIED_NOW
    assert next_step(reopening.job, now=NOON) is Step.OPEN_ORDER


def test_a_job_that_gave_up_is_tried_now() -> None:
    reopening = reopen(gave_up(), order(), now=NOON)
    assert reopening.reason is ReopeningReason.TRIED_NOW
    assert (reopening.job.reason, reopening.job.problem) == (None, None)
    assert next_step(reopening.job, now=NOON) is Step.MAKE_KEY


def test_a_job_under_way_is_left_alone() -> None:
    under_way = job(JobState.VALIDATING)
    assert reopen(under_way, order(), now=NOON).job is under_way
    late = replace(under_way, wait_until=NOON - timedelta(seconds=1))
    assert reopen(late, order(), now=NOON).reason is ReopeningReason.UNDER_WAY


def test_before_a_key_is_made_the_repeated_issue_order_replaces_the_first() -> None:
    mended = order("mended.example.org")
    reopening = reopen(job(given_up=True), mended, now=NOON)
    assert (reopening.job.issue_order, reopening.job.ca) == (mended, None)


def test_a_key_that_was_made_stays_with_the_issue_order_that_it_was_made_for() -> None:
    waiting = job(JobState.KEYED, wait_until=NOON + timedelta(days=1))
    reopening = reopen(waiting, order("other.example.org"), now=NOON)
    assert (reopening.job.issue_order, reopening.job.ca) == (waiting.issue_order, waiting.ca)


def test_an_issue_order_that_is_no_better_than_the_first_is_refused_again() -> None:
    reopening = reopen(job(given_up=True), order(key_algorithm="ml-dsa-65"), now=NOON)
    assert reopening.reason is ReopeningReason.REFUSED
    assert next_step(reopening.job, now=NOON) is Step.REPORT
    assert next_step(replace(reopening.job, report_at=None), now=NOON) is Step.REST


def test_what_was_revoked_is_not_handed_over_again_and_the_registry_is_told_why_once() -> None:
    revoked = stored(revocation=REVOKED)
    reopening = reopen_listed(revoked, order(), now=NOON, first=False)
    assert reopening.reason is ReopeningReason.REVOKED
    refused = reopening.job
    assert (refused.state, refused.given_up, refused.reason) == (JobState.ISSUED, True, FailureReason.REVOKED)
    assert refused.problem is not None
    assert "revoked at 2026-02-28T12:00Z (keyCompromise): renew the certificate" in refused.problem
    assert next_step(refused, now=NOON) is Step.REPORT
    assert next_step(replace(refused, report_at=None), now=NOON) is Step.REST
    told = replace(refused, report_at=None)
    for first in (False, True):
        for listed in (order(), order("other.example.org")):
            again = reopen_listed(told, listed, now=NOON + timedelta(hours=2), first=first)
            assert (again.job, again.reason) == (told, ReopeningReason.REVOKED)


def test_a_revoked_one_that_is_lost_or_announced_again_stays_as_it_is() -> None:
    revoked = stored(revocation=REVOKED)
    assert hand_over_again(revoked, now=NOON).job is revoked
    assert reopen(revoked, order(), now=NOON).job is revoked
    assert reopen(revoked, order(), now=NOON).reason is ReopeningReason.REVOKED


def test_after_its_end_what_was_revoked_is_issued_anew_like_any_other() -> None:
    for state in (JobState.STORED, JobState.ISSUED):
        ended = stored(state=state, revocation=REVOKED, not_after=NOON)
        reopening = reopen_listed(ended, order(), now=NOON, first=False)
        assert (reopening.reason, reopening.job.revocation) == (ReopeningReason.ISSUED_ANEW, None)


def test_a_target_that_offers_another_csr_gets_another_certificate_than_the_revoked_one() -> None:
    reopening = reopen_listed(stored(revocation=REVOKED), order(csr_pem="another"), now=NOON, first=False)
    assert (reopening.reason, reopening.job.revocation) == (ReopeningReason.ISSUED_ANEW, None)
