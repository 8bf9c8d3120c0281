from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.api import CertificateState
from certcore.events import CertificateRenewalDue, CertificateRenewalDueForCsr, IssueCause
from registry.domain.certificate import Approval, Certificate
from registry.domain.change import Change
from registry.domain.renewal import Renewal, RenewalReason, decide, due_at, order, renew_at
from registry.domain.revision import Revision, SigningState
from registry.domain.rollout import Rollout
from registry.domain.signing import WantedCsr
from tests.unit.registry.samples import (
    NOON,
    approval,
    certificate,
    intent,
    placement,
    revision,
    rollout,
    signing,
    site,
)

lifetimes = st.timedeltas(min_value=timedelta(minutes=1), max_value=timedelta(days=400))
states = st.sampled_from(CertificateState)
instants = st.timedeltas(min_value=timedelta(days=-1), max_value=timedelta(days=800)).map(lambda after: NOON + after)

_INACTIVE = {CertificateState.DENIED, CertificateState.REVOKED, CertificateState.RETIRED}


def decided(
    *,
    state: CertificateState = CertificateState.LIVE,
    lifetime: timedelta = timedelta(days=90),
    after: timedelta = timedelta(0),
    asked: bool = False,
) -> Renewal:
    """The decision so long after the certificate became valid."""
    return decide(certificate(state), revision(lifetime=lifetime), approval(), now=NOON + after, asked=asked)


@pytest.mark.parametrize(
    ("days", "hours_until_renewal"),
    [(6, 3 * 24), (47, 47 * 16), (200, 200 * 16)],
)
def test_a_certificate_is_renewed_by_its_share_of_lifetime(days: int, hours_until_renewal: int) -> None:
    lifetime, due = timedelta(days=days), timedelta(hours=hours_until_renewal)
    assert renew_at(NOON, NOON + lifetime) == NOON + due
    assert decided(lifetime=lifetime, after=due - timedelta(seconds=1)) == Renewal(
        due=False, reason=RenewalReason.NOT_DUE
    )
    assert decided(lifetime=lifetime, after=due) == Renewal(due=True, reason=RenewalReason.DUE)


@pytest.mark.parametrize(
    ("state", "asked", "reason"),
    [
        (CertificateState.LIVE, True, RenewalReason.ASKED),
        (CertificateState.DELIVERING, True, RenewalReason.ASKED),
        (CertificateState.FAILING, True, RenewalReason.ASKED),
        (CertificateState.LIVE, False, RenewalReason.NOT_DUE),
        (CertificateState.DENIED, True, RenewalReason.NOT_ACTIVE),
        (CertificateState.REVOKED, True, RenewalReason.NOT_ACTIVE),
        (CertificateState.RETIRED, True, RenewalReason.NOT_ACTIVE),
    ],
)
def test_a_decision_tells_its_reason(state: CertificateState, asked: bool, reason: RenewalReason) -> None:  # noqa: FBT001 # a column
    assert decided(state=state, asked=asked).reason is reason


def test_nothing_is_renewed_after_its_end_date() -> None:
    ending = certificate(intent=intent(end_date=NOON + timedelta(days=10)))
    for day, reason in ((9, RenewalReason.ASKED), (10, RenewalReason.ENDED), (80, RenewalReason.ENDED)):
        found = decide(ending, revision(), approval(), now=NOON + timedelta(days=day), asked=True)
        assert found.reason is reason


def test_nothing_is_renewed_after_its_intent_changed() -> None:
    changed = certificate(spec_hash="0" * 64)
    for asked in (True, False):
        found = decide(changed, revision(), approval(), now=NOON + timedelta(days=80), asked=asked)
        assert found == Renewal(due=False, reason=RenewalReason.NOT_APPROVED)


def test_nothing_is_renewed_where_policy_allows_no_ca_any_more() -> None:
    for cas, reason in (((), RenewalReason.NO_CA), (("ca-one",), RenewalReason.DUE), (None, RenewalReason.DUE)):
        allowed = replace(approval(), cas=cas)
        assert decide(certificate(), revision(), allowed, now=NOON + timedelta(days=80), asked=False).reason is reason


def test_nothing_is_renewed_without_an_approval() -> None:
    found = decide(certificate(), revision(), None, now=NOON + timedelta(days=80), asked=True)
    assert found.reason is RenewalReason.NOT_APPROVED


def test_what_was_never_issued_is_not_renewed() -> None:
    issuing = certificate(CertificateState.ISSUING)
    assert decide(issuing, None, approval(), now=NOON, asked=True).reason is RenewalReason.NOTHING_ISSUED


def test_what_failed_before_anything_was_issued_is_tried_again_when_asked() -> None:
    failing = certificate(CertificateState.FAILING)
    assert decide(failing, None, approval(), now=NOON, asked=True) == Renewal(due=True, reason=RenewalReason.ASKED)


def test_what_is_being_renewed_is_not_renewed_again() -> None:
    renewing = certificate(CertificateState.RENEWING, ordered=2)
    for asked in (True, False):
        found = decide(renewing, revision(1), approval(), now=NOON + timedelta(days=80), asked=asked)
        assert found == Renewal(due=False, reason=RenewalReason.IN_PROGRESS)


@given(lifetimes)
def test_renewal_falls_into_the_lifetime_and_leaves_a_third_of_it(lifetime: timedelta) -> None:
    moment = renew_at(NOON, NOON + lifetime)
    assert NOON < moment < NOON + lifetime
    assert (NOON + lifetime) - moment >= lifetime / 3 - timedelta(microseconds=1)


@given(lifetimes, instants, st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400)))
def test_what_is_due_stays_due(lifetime: timedelta, now: datetime, later: timedelta) -> None:
    first = decide(certificate(), revision(lifetime=lifetime), approval(), now=now, asked=False)
    second = decide(certificate(), revision(lifetime=lifetime), approval(), now=now + later, asked=False)
    assert first.due <= second.due


certificates = st.builds(
    lambda state, ordered, ends, unreadable: certificate(
        state, ordered=ordered, intent=intent().model_copy(update={"end_date": ends}), unreadable=unreadable
    ),
    states,
    st.integers(min_value=1, max_value=3),
    st.none() | instants,
    st.none() | st.just("it can't be read"),
)
revisions = st.none() | st.builds(lambda lifetime: revision(lifetime=lifetime), lifetimes)
approvals = st.none() | st.just(approval()) | st.just(approval("f" * 64))


@given(certificates, revisions, approvals, instants, st.booleans())
def test_a_renewal_always_has_a_valid_approval_and_an_active_certificate(
    of: Certificate,
    newest: Revision | None,
    given_by: Approval | None,
    now: datetime,
    asked: bool,  # noqa: FBT001 # drawn
) -> None:
    found = decide(of, newest, given_by, now=now, asked=asked)
    assert found.due == (found.reason in {RenewalReason.DUE, RenewalReason.ASKED})
    if found.due:
        assert given_by is not None
        assert given_by.spec_hash == of.spec_hash
        assert of.state not in _INACTIVE
        assert of.unreadable is None
        assert of.intent.end_date is None or now < of.intent.end_date
        assert (found.reason is RenewalReason.ASKED) == asked


@given(certificates, revisions, approvals, instants)
def test_nobody_needs_to_ask_for_what_is_due(
    of: Certificate, newest: Revision | None, given_by: Approval | None, now: datetime
) -> None:
    by_calendar = decide(of, newest, given_by, now=now, asked=False)
    assert by_calendar.due <= decide(of, newest, given_by, now=now, asked=True).due


@pytest.mark.parametrize("asked", [True, False])
def test_nothing_is_ordered_by_an_intent_that_can_not_be_read(asked: bool) -> None:  # noqa: FBT001 # a column
    of = certificate(unreadable="dns_names can't be read")
    found = decide(of, revision(), approval(), now=NOON + timedelta(days=80), asked=asked)
    assert found == Renewal(due=False, reason=RenewalReason.NOT_READABLE)


def ordered(of: Rollout) -> Change:
    return order(
        of,
        approval(),
        [site()],
        RenewalReason.DUE,
        traceparent="00-trace-span-01",
        now=NOON,
    )


@pytest.mark.parametrize(
    ("state", "ordered_before", "number"), [(CertificateState.LIVE, 1, 2), (CertificateState.FAILING, 2, 2)]
)
def test_the_next_revision_is_ordered_or_the_failed_one_again(
    state: CertificateState, ordered_before: int, number: int
) -> None:
    newest = replace(revision(), ari_id="ari")
    change = ordered(rollout(certificate(state, ordered=ordered_before), revisions=(newest,)))
    assert change.certificate is not None
    assert (change.certificate.state, change.certificate.ordered) == (CertificateState.RENEWING, number)
    assert change.certificate.traceparent == "00-trace-span-01"
    assert change.reason == f"revision {number} ordered: due"
    [due] = change.announced
    assert isinstance(due, CertificateRenewalDue)
    assert (due.order.revision, due.order.replaces, due.order.cause) == (number, "ari", IssueCause.RENEWAL)


def test_where_every_target_makes_its_own_key_the_renewal_asks_for_their_requests() -> None:
    of = certificate(
        intent=intent(targets=[{"kind": "cdn", "name": "cdn"}], endpoints=[{"url": "https://checkout.example.org"}])
    )
    cdn = placement("cdn", holds=1, own_key=True)
    change = ordered(rollout(of, revisions=(revision(variant="cdn"),), placements=(cdn,)))
    due, asked = change.announced
    assert isinstance(due, CertificateRenewalDueForCsr)
    assert (due.revision, due.targets) == (2, ("cdn",))
    assert isinstance(asked, WantedCsr)
    assert asked.event.traceparent == "00-trace-span-01"


def test_the_next_revision_drops_an_unfinished_variant_unless_its_request_was_sent() -> None:
    targets = [{"kind": "files", "name": "web", "site": "site1"}, {"kind": "cdn", "name": "cdn"}]
    of = certificate(intent=intent(targets=targets))
    placed = (placement(holds=1), placement("cdn", wanted=None, own_key=True))
    waits = ordered(rollout(of, placements=placed, signing=(signing(),)))
    assert [(item.revision, item.state) for item in waits.signing] == [
        (1, SigningState.DROPPED),
        (2, SigningState.WANTED),
    ]
    sent = ordered(rollout(of, placements=placed, signing=(signing(SigningState.ORDERED),)))
    assert sent.signing == ()
    assert [type(item) for item in sent.announced] == [CertificateRenewalDue]


def test_a_renewal_that_was_given_up_is_ordered_again_before_what_is_served_expires() -> None:
    failed = replace(certificate(CertificateState.FAILING), ordered=2, state_since=NOON)
    newest = revision(lifetime=timedelta(days=90))
    due = due_at(failed, newest)
    assert due == NOON + timedelta(hours=6)
    assert decide(failed, newest, approval(), now=due, asked=False) == Renewal(
        due=True, reason=RenewalReason.FAILED_BEFORE
    )
    assert not decide(failed, newest, approval(), now=due - timedelta(seconds=1), asked=False).due


def test_the_issuer_is_left_alone_while_it_tries_by_itself() -> None:
    trying = replace(certificate(CertificateState.FAILING), ordered=2, next_try=NOON)
    assert due_at(trying, revision()) is None
    assert due_at(replace(certificate(CertificateState.RENEWING), ordered=2), revision()) is None


def test_what_never_was_issued_or_is_managed_no_more_is_never_due() -> None:
    assert due_at(certificate(CertificateState.FAILING), None) is None
    for state in _INACTIVE:
        assert due_at(certificate(state), revision()) is None


@given(lifetime=lifetimes)
def test_what_is_live_is_due_when_its_renewal_is(lifetime: timedelta) -> None:
    newest = revision(lifetime=lifetime)
    assert due_at(certificate(CertificateState.LIVE), newest) == renew_at(newest.not_before, newest.not_after)
