from dataclasses import replace
from datetime import timedelta

import pytest

from certcore.api import CertificateState
from certcore.events import CertificateApproved, CertificateApprovedForCsr, CertificateDenied, IssueCause
from registry.domain.decision import Decision, approve, deny
from registry.domain.errors import ConflictError, ForbiddenError
from registry.domain.placement import Placement
from registry.domain.rollout import Rollout
from registry.domain.signing import WantedCsr
from tests.unit.registry.samples import NOON, certificate, intent, placement, request, rollout, site

LATER = NOON + timedelta(hours=1)
WEB = {"kind": "files", "name": "web", "site": "site1"}
CDN = {"kind": "cdn", "name": "cdn"}


def waiting(*placements: Placement, **changes: object) -> Rollout:
    nothing_yet: dict[str, object] = {"ordered": 0, "generation": 0, "approval_id": None}
    of = certificate(CertificateState.WAITING_FOR_APPROVAL, **(nothing_yet | changes))
    return rollout(of, revisions=(), placements=placements or (placement(wanted=None),))


def approved(of: Rollout, person: str = "ben") -> Decision:
    return approve(request(), of, [site()], person=person, approval_id="a-1", now=LATER)


def test_an_approval_names_who_gave_it_and_orders_the_first_revision() -> None:
    done = approved(waiting())
    assert (done.request.state, done.request.decided_by, done.request.decided_at) == ("approved", "ben", LATER)
    assert (done.certificate.state, done.certificate.ordered) == (CertificateState.APPROVED, 1)
    assert done.approval is not None
    assert (done.approval.approved_by, done.approval.spec_hash) == (("ben",), request().spec_hash)
    assert done.reason == done.request.reason == done.certificate.reason == "approved by ben"
    [event] = done.announced
    assert isinstance(event, CertificateApproved)
    assert (event.order.revision, event.order.approval_id, event.order.cause) == (1, "a-1", IssueCause.FIRST)
    assert [recipient.name for recipient in event.order.recipients] == ["site1-syncer"]


def test_an_approval_orders_the_newest_revision_that_the_issuer_reported_after_a_restore() -> None:
    done = approved(waiting(ordered=3))
    [event] = done.announced
    assert isinstance(event, CertificateApproved)
    assert (done.certificate.ordered, event.order.revision) == (3, 3)


def test_where_every_target_makes_its_own_key_the_approval_orders_none_of_the_platform() -> None:
    of = waiting(
        placement("cdn", wanted=None, own_key=True),
        intent=intent(targets=[CDN], endpoints=[{"url": "https://checkout.example.org"}]),
    )
    done = approved(of)
    event, asked = done.announced
    assert isinstance(event, CertificateApprovedForCsr)
    assert (event.approved_by, event.targets) == (("ben",), ("cdn",))
    assert isinstance(asked, WantedCsr)
    assert [item.target for item in done.signing] == ["cdn"]


def test_where_some_do_both_are_ordered() -> None:
    of = waiting(
        placement(wanted=None),
        placement("cdn", wanted=None, own_key=True),
        intent=intent(targets=[WEB, CDN]),
    )
    assert [type(item) for item in approved(of).announced] == [CertificateApproved, WantedCsr]


def test_an_intent_that_was_changed_since_can_not_be_approved() -> None:
    with pytest.raises(ConflictError, match="changed after this request"):
        approved(waiting(spec_hash="other"))


def test_an_intent_that_can_not_be_read_is_not_approved() -> None:
    with pytest.raises(ConflictError, match="can't be read"):
        approved(waiting(unreadable="dns_names can't be read"))
    unknown = intent().model_copy(update={"exposure": "friends"})
    with pytest.raises(ConflictError, match="is not known to this version"):
        approved(waiting(intent=unknown))


def test_an_intent_that_can_not_be_read_can_be_denied() -> None:
    of = waiting(unreadable="dns_names can't be read")
    assert deny(request(), of, person="ben", reason="no", now=LATER).certificate.state is CertificateState.DENIED


def test_a_denial_is_kept_and_announced_with_its_reason() -> None:
    done = deny(request(), waiting(), person="ben", reason="not ours", now=LATER)
    assert (done.request.state, done.request.decided_by) == ("denied", "ben")
    assert (done.certificate.state, done.certificate.ordered) == (CertificateState.DENIED, 0)
    assert done.approval is None
    [denied] = done.announced
    assert isinstance(denied, CertificateDenied)
    assert denied.reason == done.reason == done.certificate.reason == "denied by ben: not ours"


@pytest.mark.parametrize("state", ["approved", "denied", "withdrawn by a newer version"])
def test_nothing_is_decided_twice(state: str) -> None:
    decided = replace(request(), state=state)
    with pytest.raises(ConflictError, match=f"it is {state}"):
        approve(decided, waiting(), [site()], person="ben", approval_id="a-1", now=LATER)
    with pytest.raises(ConflictError, match=f"it is {state}"):
        deny(decided, waiting(), person="ben", reason="no", now=LATER)


def test_nobody_decides_on_their_own_request() -> None:
    with pytest.raises(ForbiddenError):
        approved(waiting(), person="ana")
    with pytest.raises(ForbiddenError):
        deny(request(), waiting(), person="ana", reason="no", now=LATER)
