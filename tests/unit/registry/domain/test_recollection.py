from datetime import datetime, timedelta

import pytest

from certcore.api import CertificateState as S
from certcore.door import RequestDoor
from certcore.events import (
    CertificateApproved,
    CertificateApprovedForCsr,
    CertificateDenied,
    CertificateRenewalDue,
    CertificateRequested,
    Event,
    IssueCause,
    IssueOrder,
)
from certcore.placements import generation
from registry.domain.access import Principal
from registry.domain.recollection import Memory, Recollected, recollect, recreate, was_asked_again
from registry.domain.submission import Ids, Known, submit
from registry.domain.terms import Terms
from tests.unit.registry.samples import (
    KINDS,
    NOON,
    OWNER,
    certificate,
    intent,
    placement,
    request,
    rollout,
    site,
    spec,
)

LATER = NOON + timedelta(hours=1)
FLOOR = generation(1, 0)


def requested(**changes: object) -> CertificateRequested:
    wanted = intent(**changes)
    return CertificateRequested(
        certificate_id="c-1",
        name="checkout",
        owner=OWNER,
        request_id="r-1",
        requester="ana",
        dns_names=wanted.dns_names,
        exposure=wanted.exposure,
        intent=wanted,
    )


def order(number: int) -> IssueOrder:
    return IssueOrder(
        certificate_id="c-1",
        name="checkout",
        revision=number,
        dns_names=("checkout.example.org",),
        exposure="internal",
        issuer=None,
        key_algorithm="ec-p256",
        approval_id="a-9",
        recipients=(),
        cause=IssueCause.FIRST,
    )


def approved(number: int = 1, by: tuple[str, ...] = ("ben",)) -> CertificateApproved:
    return CertificateApproved(
        certificate_id="c-1", name="checkout", owner=OWNER, approved_by=by, policy="p", order=order(number)
    )


def due(number: int) -> CertificateRenewalDue:
    return CertificateRenewalDue(
        certificate_id="c-1", name="checkout", owner=OWNER, reason="due", order=order(number)
    )


DENIED = CertificateDenied(
    certificate_id="c-1", name="checkout", owner=OWNER, request_id="r-1", denied_by="ben", reason="denied by ben: no"
)


def told(*events: Event, at: datetime = NOON) -> Memory:
    return Memory.of((event, at) for event in events)


def recreated(*events: Event, **changes: object) -> Recollected:
    wanted = requested(**changes)
    assert wanted.intent is not None
    read = RequestDoor(KINDS).read(wanted.intent.model_dump_json(exclude_none=True).encode())
    memory = told(wanted, *events)
    made = recreate(memory, read, KINDS, floor=FLOOR, now=LATER)
    return recollect(memory, made.rollout, made.request, approval_id="a-new", now=LATER)


@pytest.mark.parametrize(
    "changes", [{}, {"exposure": "public"}, {"end_date": "2027-01-01T00:00:00Z", "contact": "x"}]
)
def test_a_recreated_certificate_is_what_was_requested(changes: dict[str, object]) -> None:
    of = spec(**changes)
    known = Known(sites=[site()], kinds=KINDS, carried={})
    ids = Ids(certificate="c-1", request="r-1", approval="a-1")
    original = submit(
        of,
        known,
        owner=OWNER,
        by=Principal("ana", OWNER, frozenset()),
        terms=Terms(policy="d", rules=("names",), needed=()),
        pending=None,
        ids=ids,
        traceparent=None,
        now=NOON,
    )
    made = recreated(**changes).rollout
    for name in ("id", "name", "owner", "requester", "intent", "spec_hash", "created_at"):
        assert getattr(made.certificate, name) == getattr(original.certificate, name)
    assert (made.placements, made.endpoints) == (original.rollout.placements, original.rollout.endpoints)
    assert made.certificate.next_generation == FLOOR + 1


def test_without_its_approval_it_waits_for_one() -> None:
    found = recreated()
    assert (found.rollout.certificate.state, found.request.state) == (S.WAITING_FOR_APPROVAL, "waiting")
    assert found.approval is None
    assert "its approval is not known any more" in found.rollout.certificate.reason


def test_with_its_approval_it_is_approved_by_the_same_people_and_its_last_order_stands() -> None:
    found = recreated(approved(), due(2), due(3))
    assert (found.rollout.certificate.state, found.rollout.certificate.ordered) == (S.APPROVED, 3)
    assert found.approval is not None
    assert (found.approval.id, found.approval.approved_by) == ("a-9", ("ben",))
    assert found.approval.spec_hash == found.rollout.certificate.spec_hash == certificate().spec_hash
    assert found.rollout.certificate.approval_id == "a-9"
    assert (found.request.state, found.request.decided_by) == ("approved", "ben")


def test_an_approval_by_policy_is_told_as_such() -> None:
    assert recreated(approved(by=())).request.decided_by == "policy p"


def test_an_approval_without_an_id_gets_one() -> None:
    event = CertificateApprovedForCsr(
        certificate_id="c-1", name="checkout", owner=OWNER, approved_by=("ben",), policy="p", targets=("cdn",)
    )
    found = recreated(event)
    assert found.approval is not None
    assert found.approval.id == "a-new"
    assert found.rollout.certificate.ordered == 1


def test_a_denial_is_taken_over() -> None:
    found = recreated(DENIED)
    assert (found.rollout.certificate.state, found.request.state) == (S.DENIED, "denied")
    assert found.request.decided_by == "ben"


def test_a_decision_that_the_copy_does_not_have_is_taken_over() -> None:
    of = rollout(
        certificate(S.WAITING_FOR_APPROVAL, ordered=0, approval_id=None), placements=(placement(wanted=None),)
    )
    found = recollect(told(approved()), of, request(), approval_id="a-new", now=LATER)
    assert (found.rollout.certificate.state, found.request.state) == (S.APPROVED, "approved")


def test_an_order_that_the_copy_does_not_have_stands() -> None:
    found = recollect(told(due(5)), rollout(), request("approved"), approval_id="a-new", now=LATER)
    assert (found.rollout.certificate.state, found.rollout.certificate.ordered) == (S.RENEWING, 5)


@pytest.mark.parametrize("event", [approved(), due(1), DENIED])
def test_what_the_copy_has_decided_stays(event: Event) -> None:
    of = rollout()
    found = recollect(told(event), of, request("approved"), approval_id="a-new", now=LATER)
    assert (found.rollout, found.request, found.approval) == (of, request("approved"), None)


@pytest.mark.parametrize("event", [approved(), DENIED])
def test_a_request_that_was_decided_is_not_decided_again_though_its_certificate_waits(event: Event) -> None:
    of = rollout(
        certificate(S.WAITING_FOR_APPROVAL, ordered=0, approval_id=None), placements=(placement(wanted=None),)
    )
    found = recollect(told(event), of, request("denied"), approval_id="a-new", now=LATER)
    assert (found.rollout.certificate.state, found.request, found.approval) == (
        of.certificate.state,
        request("denied"),
        None,
    )


def test_of_a_name_that_was_asked_for_again_only_what_was_decided_since_counts() -> None:
    again = requested().model_copy(update={"request_id": "r-2"})
    events = [(requested(), NOON), (DENIED, LATER), (again, LATER + timedelta(hours=1))]
    for order in (events, events[::-1]):
        memory = Memory.of(order)
        assert (memory.requested, memory.denied) == (again, None)
        assert was_asked_again(memory, request())
    decided = (approved(), LATER + timedelta(hours=1))
    for order in ([*events, decided], [decided, *events]):
        assert (Memory.of(order).approved, Memory.of(order).denied) == (approved(), None)
    assert not was_asked_again(told(requested()), request())
    assert not was_asked_again(told(DENIED), request())
