from datetime import timedelta

import pytest

from certcore.api import CertificateState
from certcore.events import CertificateApproved, CertificateDenied
from registry.domain.certificate import Certificate
from registry.domain.decision import approve, deny
from registry.domain.errors import ConflictError, ForbiddenError
from tests.unit.registry.samples import NOON, certificate, request, site

LATER = NOON + timedelta(hours=1)


def waiting(**changes: object) -> Certificate:
    nothing_yet = {"ordered": 0, "wanted": 0, "proven": 0, "approval_id": None}
    return certificate(CertificateState.WAITING_FOR_APPROVAL, **(nothing_yet | changes))


def test_an_approval_names_who_gave_it_and_orders_the_first_revision() -> None:
    done = approve(request(), waiting(), [site()], person="ben", approval_id="a-1", now=LATER)
    assert (done.request.state, done.request.decided_by, done.request.decided_at) == ("approved", "ben", LATER)
    assert (done.certificate.state, done.certificate.ordered) == (CertificateState.APPROVED, 1)
    assert done.approval is not None
    assert (done.approval.approved_by, done.approval.spec_hash) == (("ben",), request().spec_hash)
    assert done.reason == done.request.reason == done.certificate.reason == "approved by ben"
    [approved] = done.announced
    assert isinstance(approved, CertificateApproved)
    assert (approved.order.revision, approved.order.approval_id) == (1, "a-1")
    assert [recipient.name for recipient in approved.order.recipients] == ["site1-syncer"]


def test_an_intent_that_was_changed_since_can_not_be_approved() -> None:
    with pytest.raises(ConflictError, match="changed after this request"):
        approve(request(), waiting(spec_hash="other"), [site()], person="ben", approval_id="a-1", now=LATER)


def test_a_denial_is_kept_and_announced_with_its_reason() -> None:
    done = deny(request(), waiting(), person="ben", reason="not ours", now=LATER)
    assert (done.request.state, done.request.decided_by) == ("denied", "ben")
    assert (done.certificate.state, done.certificate.ordered) == (CertificateState.DENIED, 0)
    assert done.approval is None
    [denied] = done.announced
    assert isinstance(denied, CertificateDenied)
    assert denied.reason == done.reason == done.certificate.reason == "denied by ben: not ours"


@pytest.mark.parametrize("state", ["approved", "denied"])
def test_nothing_is_decided_twice(state: str) -> None:
    with pytest.raises(ConflictError, match=f"it is {state}"):
        approve(request(state), waiting(), [site()], person="ben", approval_id="a-1", now=LATER)
    with pytest.raises(ConflictError, match=f"it is {state}"):
        deny(request(state), waiting(), person="ben", reason="no", now=LATER)


def test_nobody_decides_on_their_own_request() -> None:
    with pytest.raises(ForbiddenError):
        approve(request(), waiting(), [site()], person="ana", approval_id="a-1", now=LATER)
    with pytest.raises(ForbiddenError):
        deny(request(), waiting(), person="ana", reason="no", now=LATER)
