"""What a CA suggests: how it is kept, and what it changes of a renewal."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.api import CertificateState
from certcore.errors import TransientError
from certcore.events import RevisionRenewalWindow
from certcore.policy.openings import OPEN
from registry.domain.certificate import Certificate
from registry.domain.planning import RenewalReason, first_due, planned
from registry.domain.renewal import decide, next_renewal
from registry.domain.revision import Revision, SuggestedWindow
from registry.domain.suggestion import suggest
from tests.unit.registry.samples import NOON, approval, certificate, placement, revision, rollout

DAY = timedelta(days=1)
WHY = "https://ca.test/why"

spans = st.timedeltas(timedelta(days=-400), timedelta(days=800))
lifetimes = st.timedeltas(timedelta(minutes=1), timedelta(days=400))


def report(number: int = 1, **changes: Any) -> RevisionRenewalWindow:
    told = {
        "certificate_id": "c-1",
        "revision": number,
        "start": NOON + 10 * DAY,
        "end": NOON + 12 * DAY,
        "chosen": NOON + 11 * DAY,
        "answered_at": NOON + DAY,
        "explanation_url": WHY,
    }
    return RevisionRenewalWindow(**{**told, **changes})


def due_at(certificate: Certificate, newest: Revision) -> datetime | None:
    of = rollout(certificate, revisions=(newest,), placements=(placement(holds=1),))
    return next_renewal(of, approval(), OPEN, now=NOON).at


def kept(*revisions: Revision, told: RevisionRenewalWindow) -> Revision | None:
    return suggest(rollout(revisions=revisions), told).revision


def suggested(chosen: timedelta, *, lifetime: timedelta = 90 * DAY) -> Revision:
    window = SuggestedWindow(NOON + chosen - DAY, NOON + chosen + DAY, NOON + chosen, NOON, WHY)
    return replace(revision(lifetime=lifetime), window=window)


def test_a_suggestion_is_kept_with_its_revision_and_its_explanation() -> None:
    found = kept(revision(), told=report())
    assert found is not None
    assert found.window == SuggestedWindow(
        NOON + 10 * DAY, NOON + 12 * DAY, NOON + 11 * DAY, NOON + DAY, WHY, held_until=None
    )


@pytest.mark.parametrize("answered", [NOON, NOON + DAY])
def test_a_report_that_comes_again_or_too_late_changes_nothing(answered: datetime) -> None:
    known = kept(revision(), told=report())
    assert known is not None
    assert kept(known, told=report(chosen=NOON, answered_at=answered)) is None
    later = kept(known, told=report(chosen=NOON, answered_at=NOON + 2 * DAY))
    assert later is not None
    assert later.window is not None
    assert later.window.chosen == NOON


def test_a_suggestion_about_an_older_revision_changes_nothing() -> None:
    assert kept(revision(2), revision(1), told=report(1)) is None


def test_a_suggestion_that_comes_before_its_revision_waits_for_it() -> None:
    with pytest.raises(TransientError, match="revision 2"):
        kept(revision(1), told=report(2))


def test_a_ca_may_bring_a_renewal_forward() -> None:
    early = suggested(5 * DAY)
    of = rollout(revisions=(early,))
    found = decide(of, approval(), now=NOON + 5 * DAY, asked=False)
    assert (found.due, found.reason) == (True, RenewalReason.SUGGESTED)
    assert found.why == (
        "suggested: the CA suggests a renewal between 2026-03-05T12:00Z and 2026-03-07T12:00Z,"
        " because https://ca.test/why"
    )
    before = decide(of, approval(), now=NOON + 5 * DAY - timedelta(seconds=1), asked=False)
    assert (before.due, before.reason) == (False, RenewalReason.NOT_DUE)


def test_a_ca_may_put_a_renewal_off_until_a_sixth_of_the_lifetime_is_left() -> None:
    assert planned(suggested(70 * DAY)).at == NOON + 70 * DAY
    latest = planned(suggested(89 * DAY))
    assert (latest.at, latest.reason) == (NOON + 75 * DAY, RenewalReason.DUE)
    assert "a sixth of its lifetime is left" in latest.detail


@given(spans, lifetimes)
def test_whatever_a_ca_suggests_a_sixth_of_the_lifetime_is_left_and_what_is_past_is_due(
    chosen: timedelta, lifetime: timedelta
) -> None:
    of = suggested(chosen, lifetime=lifetime)
    at = due_at(certificate(), of)
    assert at is not None
    assert of.not_after - at >= lifetime / 6 - timedelta(microseconds=2)
    assert at <= NOON + chosen


@pytest.mark.parametrize(("gap", "held"), [(timedelta(hours=1), DAY), (timedelta(days=2), None)])
def test_a_ca_that_suggests_the_past_for_everything_gets_one_order_a_day(
    gap: timedelta, held: timedelta | None
) -> None:
    issued = NOON + gap
    found = kept(revision(2, not_before=issued), revision(1), told=report(2, chosen=NOON))
    assert found is not None
    assert found.window is not None
    assert found.window.held_until == (issued + held if held else None)
    assert due_at(certificate(ordered=2), found) == (issued + held if held else NOON)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://ca.test/ b", "https://" + "a" * 600])
def test_what_is_no_address_of_a_page_is_not_shown(url: str) -> None:
    found = kept(revision(), told=report(explanation_url=url))
    assert found is not None
    assert found.window is not None
    assert found.window.explanation_url is None


def test_the_variant_that_is_due_first_renews_all() -> None:
    slow = replace(suggested(5 * DAY), variant="cdn")
    both = rollout(
        revisions=(revision(), slow), placements=(placement(holds=1), placement("cdn", holds=1, own_key=True))
    )
    assert first_due(both) == slow
    late = rollout(revisions=(revision(), replace(suggested(74 * DAY), variant="cdn")), placements=both.placements)
    assert first_due(late) == revision()


def test_what_failed_or_is_under_way_is_left_as_it_is() -> None:
    past = suggested(-5 * DAY)
    renewing = certificate(CertificateState.RENEWING, ordered=2)
    assert due_at(renewing, past) == renewing.state_since + DAY
    failing = certificate(CertificateState.FAILING, ordered=2)
    assert due_at(failing, past) == failing.state_since + timedelta(hours=6)


def test_without_a_suggestion_the_share_of_the_lifetime_tells() -> None:
    plan = planned(revision())
    assert NOON + 60 * DAY <= plan.at <= NOON + 61 * DAY
    assert plan.reason is RenewalReason.DUE
    assert "two thirds" in plan.detail
