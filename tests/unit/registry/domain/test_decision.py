from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from certcore.api import CertificateState
from certcore.events import CertificateApproved, CertificateApprovedForCsr, CertificateDenied, IssueCause
from certcore.policy.document import ApprovalsNeeded
from certcore.policy.quorum import Approver
from registry.domain.approval import Decider
from registry.domain.decision import Decision, approve, deny, expire
from registry.domain.errors import ConflictError, ForbiddenError
from registry.domain.placement import Placement
from registry.domain.rollout import Rollout
from registry.domain.signing import WantedCsr
from registry.domain.terms import Terms
from tests.unit.registry.samples import NOON, certificate, intent, placement, request, rollout, site

LATER = NOON + timedelta(hours=1)
WEB = {"kind": "files", "name": "web", "site": "site1"}
CDN = {"kind": "cdn", "name": "cdn"}


def waiting(*placements: Placement, **changes: object) -> Rollout:
    nothing_yet: dict[str, object] = {"ordered": 0, "generation": 0, "approval_id": None}
    of = certificate(CertificateState.WAITING_FOR_APPROVAL, **(nothing_yet | changes))
    return rollout(of, revisions=(), placements=placements or (placement(wanted=None),))


def by(person: str, *groups: str) -> Any:
    return {"person": Decider(Approver(person, frozenset(groups)), of_owner=False, asked=False)}


def approved(of: Rollout, person: str = "ben") -> Decision:
    return approve(request(), of, [site()], **by(person), given=(), approval_id="a-1", now=LATER)


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
    assert deny(request(), of, **by("ben"), reason="no", now=LATER).certificate.state is CertificateState.DENIED


def test_a_denial_is_kept_and_announced_with_its_reason() -> None:
    done = deny(request(), waiting(), **by("ben"), reason="not ours", now=LATER)
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
        approve(decided, waiting(), [site()], **by("ben"), given=(), approval_id="a-1", now=LATER)
    with pytest.raises(ConflictError, match=f"it is {state}"):
        deny(decided, waiting(), **by("ben"), reason="no", now=LATER)


def test_where_two_groups_are_asked_the_first_approval_waits_for_the_second() -> None:
    needed = (ApprovalsNeeded(group="security"), ApprovalsNeeded(group="network"))
    asked = replace(request(), terms=Terms(policy="d", rules=("strict",), needed=needed))
    first = approve(asked, waiting(), [site()], **by("ben", "security"), given=(), approval_id="a-1", now=LATER)
    assert (first.request.state, first.approval, first.announced) == ("waiting", None, ())
    assert first.reason == first.certificate.reason == "approved by ben; still needs 1 of network"
    ben = Approver("ben", frozenset({"security"}))
    both: Any = {"given": (ben,), "approval_id": "a-1", "now": LATER}
    second = approve(first.request, first.rollout, [site()], **by("eve", "network", "security"), **both)
    assert second.approval is not None
    assert (second.request.state, second.approval.approved_by) == ("approved", ("ben", "eve"))
    assert (second.approval.policy, second.approval.policy_digest) == ("strict", "d")


def test_an_approval_ends_when_its_terms_say() -> None:
    terms = Terms(policy="d", rules=("r",), needed=(ApprovalsNeeded(),), approval_lasts=timedelta(days=30))
    done = approve(
        replace(request(), terms=terms), waiting(), [site()], **by("ben"), given=(), approval_id="a-1", now=LATER
    )
    assert done.approval is not None
    assert done.approval.ends_at == LATER + timedelta(days=30)


def test_a_request_that_waited_too_long_ends_as_a_denied_one() -> None:
    done = expire(request(), waiting(), now=NOON + timedelta(days=14))
    assert (done.request.state, done.certificate.state) == ("expired", CertificateState.DENIED)
    assert done.reason == "expired: nobody decided within 14d"
    [denied] = done.announced
    assert isinstance(denied, CertificateDenied)


def test_nobody_decides_on_their_own_request() -> None:
    with pytest.raises(ForbiddenError):
        approved(waiting(), person="ana")
    with pytest.raises(ForbiddenError):
        deny(request(), waiting(), **by("ana"), reason="no", now=LATER)
