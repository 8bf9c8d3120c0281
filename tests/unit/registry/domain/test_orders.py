"""What is ordered, and what is listed as ordered: the same."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import pytest

from certcore.api import CertificateState as S
from certcore.events import (
    CertificateApproved,
    CertificateRenewalDue,
    CsrAccepted,
    CsrExpired,
    CsrOffered,
    IssueCause,
    IssueOrder,
    RevisionFailed,
    RevisionIssued,
    RevisionStarted,
)
from certcore.placements import PLATFORM
from certcore.subjects import Reporter
from registry.domain.change import Change
from registry.domain.decision import Decision, grant
from registry.domain.issuance import expire_csr, fail, issue, offer_csr, start
from registry.domain.orders import order_revision, standing_orders
from registry.domain.placement import Placement
from registry.domain.planning import RenewalReason
from registry.domain.renewal import order
from registry.domain.revision import SigningState, SuggestedWindow
from registry.domain.rollout import Rollout
from registry.domain.terms import BEFORE_POLICIES
from tests.signing_requests import csr_pem
from tests.unit.registry.samples import (
    NOON,
    approval,
    certificate,
    fingerprint,
    intent,
    placement,
    request,
    revision,
    rollout,
    sealed,
    signing,
    site,
)

HOUR: Final = timedelta(hours=1)
LATER: Final = NOON + HOUR
NAME: Final = "checkout.example.org"
CSR: Final = csr_pem(NAME)
WEB: Final = {"kind": "files", "name": "web", "site": "site1"}
CDN: Final = {"kind": "cdn", "name": "cdn"}
SITES: Final = [site("site1", "syncer", "pusher"), site("site2"), site("hub", "pusher")]
PUSHER: Final = Reporter("hub", "pusher")


def new(*placements: Placement, targets: Sequence[dict[str, str]] = (WEB,)) -> Rollout:
    """One that waits for its approval."""
    of = certificate(S.WAITING_FOR_APPROVAL, intent=intent(targets=list(targets)), ordered=0, generation=0)
    return rollout(of, revisions=(), placements=placements or (placement(wanted=None),))


def with_cdn() -> Rollout:
    cdn = placement("cdn", wanted=None, own_key=True)
    return new(placement(wanted=None), cdn, targets=[WEB, CDN])


def granted(of: Rollout) -> Decision:
    terms = replace(BEFORE_POLICIES, cas=approval().cas)
    return grant(replace(request(), terms=terms), of, SITES, approval_id="a-1", approved_by=("ben",), now=NOON)


def applied(of: Rollout, change: Change) -> Rollout:
    of = of.with_certificate(change.certificate or of.certificate)
    if change.revision is not None:
        of = of.with_revision(change.revision)
    for item in change.placements:
        of = of.with_placement(item)
    for asked in change.signing:
        of = of.with_signing(asked)
    return of


def approved(of: Rollout) -> Rollout:
    decision = granted(of)
    found = decision.rollout
    for asked in decision.signing:
        found = found.with_signing(asked)
    return found


def issued(of: Rollout, number: int, variant: str = PLATFORM) -> Rollout:
    of = of.with_revision(revision(number, variant=variant, announced=False))
    report = RevisionIssued(
        certificate_id="c-1",
        revision=number,
        fingerprint_sha256=fingerprint(number, variant),
        ca="acme",
        validation_method="dns-01",
        ari_id=f"ari-{number}-{variant}",
        variant=variant,
    )
    return applied(of, issue(of, report, sealed(number), {}, now=LATER))


def failed(of: Rollout, number: int, *, variant: str = PLATFORM, again: bool = True) -> Rollout:
    next_try = LATER if again else None
    report = RevisionFailed(
        certificate_id="c-1", revision=number, reason="refused", next_try=next_try, variant=variant
    )
    return applied(of, fail(of, report, now=LATER))


def renewed(of: Rollout, reason: RenewalReason = RenewalReason.DUE) -> tuple[Rollout, IssueOrder]:
    change = order(of, approval(), SITES, reason, traceparent=None, now=LATER)
    due = change.announced[0]
    assert isinstance(due, CertificateRenewalDue)
    return applied(of, change), due.order


def offered(of: Rollout, number: int = 1) -> tuple[Rollout, IssueOrder]:
    report = CsrOffered(certificate_id="c-1", target="cdn", revision=number, variant="cdn", csr_pem=CSR)
    change = offer_csr(of, report, PUSHER, approval(), is_known_key=False, now=LATER)
    (accepted,) = change.announced
    assert isinstance(accepted, CsrAccepted)
    return applied(of, change), accepted.order


def listed(of: Rollout) -> tuple[IssueOrder, ...]:
    return standing_orders(of, SITES, approval())


# ── ordered ─────────────────────────────────────────────────────────────────────────────────────────────────


def ordered_of(*placements: Placement, targets: list[dict[str, str]]) -> tuple[IssueOrder | None, list[str]]:
    of = certificate(intent=intent(targets=targets, endpoints=[{"url": f"https://{NAME}"}]))
    found = order_revision(rollout(of, placements=placements), approval(), 2, SITES, now=LATER)
    return found.order, [item.event.variant for item in found.asked]


def test_the_platform_s_order_is_sealed_to_the_services_of_its_targets_only() -> None:
    first = replace(revision(), ari_id="ari")
    found = order_revision(rollout(revisions=(first,)), approval(), 2, SITES, now=LATER)
    assert found.order is not None
    assert [recipient.name for recipient in found.order.recipients] == ["site1-syncer"]
    assert (found.order.revision, found.order.approval_id, found.order.replaces) == (2, "a-1", "ari")
    assert (found.order.cause, found.order.variant, found.order.csr_pem) == (IssueCause.RENEWAL, PLATFORM, None)
    assert found.order.cas == ("ca-two", "ca-one")
    assert (found.signing, found.asked) == ((), ())


def test_where_every_target_makes_its_own_key_the_platform_makes_none() -> None:
    order, asked = ordered_of(placement("cdn", wanted=None, own_key=True), targets=[CDN])
    assert (order, asked) == (None, ["cdn"])


def test_where_some_do_the_platform_s_key_is_made_and_theirs_are_asked_for() -> None:
    order, asked = ordered_of(placement(wanted=None), placement("cdn", wanted=None, own_key=True), targets=[WEB, CDN])
    assert order is not None
    assert asked == ["cdn"]


# ── listed as announced ─────────────────────────────────────────────────────────────────────────────────────


def test_the_first_order_is_listed_as_it_was_announced() -> None:
    decision = granted(new())
    (event,) = decision.announced
    assert isinstance(event, CertificateApproved)
    assert listed(decision.rollout) == (event.order,)
    assert (event.order.cause, event.order.replaces, event.order.owner) == (IssueCause.FIRST, None, "shop")
    assert [recipient.name for recipient in event.order.recipients] == ["site1-syncer"]


def test_a_renewal_is_listed_as_it_was_announced() -> None:
    of, announced = renewed(issued(approved(new()), 1))
    assert listed(of) == (announced,)
    assert (announced.revision, announced.cause, announced.replaces) == (2, IssueCause.RENEWAL, "ari-1-platform")


def windowed(of: Rollout, chosen: datetime) -> Rollout:
    window = SuggestedWindow(chosen - HOUR, chosen + HOUR, chosen, NOON)
    for item in of.revisions:
        of = of.with_revision(replace(item, window=window))
    return of


def test_a_renewal_that_the_ca_s_window_brought_about_says_so_as_often_as_it_is_told() -> None:
    of, announced = renewed(windowed(issued(approved(new()), 1), LATER), RenewalReason.SUGGESTED)
    assert announced.cause == IssueCause.ARI
    assert listed(of) == (announced,)
    assert listed(failed(of, 2)) == (announced,)
    # Another one had it renewed before the CA's instant, or for want of one.
    for early in (windowed(issued(approved(new()), 1), LATER + HOUR), issued(approved(new()), 1)):
        of, announced = renewed(early, RenewalReason.ASKED)
        assert announced.cause == IssueCause.RENEWAL
        assert listed(of) == (announced,)


def test_so_does_the_order_for_a_signing_request() -> None:
    first, _ = offered(approved(with_cdn()))
    of, _ = renewed(windowed(issued(issued(first, 1), 1, "cdn"), LATER), RenewalReason.SUGGESTED)
    second, announced = offered(issued(of, 2), 2)
    assert (announced.cause, announced.variant) == (IssueCause.ARI, "cdn")
    assert announced in listed(second)


@pytest.mark.parametrize("of", [new(), with_cdn()], ids=["platform", "with-a-cdn"])
def test_what_failed_and_is_tried_again_is_listed_as_it_was_announced(of: Rollout) -> None:
    (first,) = [item for item in listed(approved(of)) if item.variant == PLATFORM]
    assert listed(failed(approved(of), 1)) == (first,)
    second, announced = renewed(issued(approved(of), 1))
    assert listed(failed(second, 2)) == (announced,)


def test_what_a_person_orders_again_is_listed_as_it_was_announced() -> None:
    of, announced = renewed(failed(approved(new()), 1, again=False), RenewalReason.ASKED)
    assert listed(of) == (announced,)
    assert (announced.revision, announced.cause) == (1, IssueCause.FIRST)


def test_another_variant_of_the_same_revision_changes_nothing_of_what_is_listed() -> None:
    waiting, csr = offered(approved(with_cdn()))
    (platform, listed_csr) = listed(waiting)
    assert listed_csr == csr
    after = issued(waiting, 1, "cdn")
    assert after.certificate.state is S.DELIVERING
    assert listed(after) == (platform,)
    again, announced = renewed(failed(after, 1, again=False), RenewalReason.ASKED)
    assert listed(again) == (announced,) == (platform,)


def test_an_accepted_signing_request_is_listed_as_it_was_announced() -> None:
    first, announced = offered(approved(with_cdn()))
    assert announced in listed(first)
    of, _ = renewed(issued(issued(first, 1), 1, "cdn"))
    second, announced = offered(of, 2)
    assert announced in listed(second)
    assert (announced.cause, announced.csr_pem, announced.recipients) == (IssueCause.RENEWAL, CSR, ())
    assert announced in listed(failed(second, 2, variant="cdn"))


# ── how long it is listed ───────────────────────────────────────────────────────────────────────────────────


def test_it_is_listed_until_it_is_known_as_issued() -> None:
    of = approved(new())
    started = applied(of, start(of, RevisionStarted(certificate_id="c-1", revision=1, ca="acme"), now=LATER))
    stored = started.with_revision(revision(1, announced=False))
    assert listed(of) == listed(started) == listed(stored) != ()
    assert listed(issued(started, 1)) == ()


def test_what_the_issuer_gave_up_is_listed_to_be_tried_again_when_it_sees_fit() -> None:
    (first,) = listed(approved(new()))
    assert listed(failed(approved(new()), 1, again=False)) == (first,)
    of, announced = offered(approved(with_cdn()))
    assert announced in listed(failed(of, 1, variant="cdn", again=False))


def test_a_signing_request_that_is_wanted_anew_is_not_listed() -> None:
    of, announced = offered(approved(with_cdn()))
    report = CsrExpired(certificate_id="c-1", target="cdn", revision=1, variant="cdn")
    of = applied(failed(of, 1, variant="cdn"), expire_csr(failed(of, 1, variant="cdn"), report, PUSHER, now=LATER))
    assert announced not in listed(of)
    assert {item.state for item in of.signing} == {SigningState.WANTED}
    assert not any(item.failure for item in of.signing)


@pytest.mark.parametrize("state", [S.DENIED, S.REVOKED, S.RETIRED])
def test_nothing_is_listed_of_what_is_not_managed(state: S) -> None:
    of = approved(new())
    assert listed(of.with_certificate(replace(of.certificate, state=state))) == ()


def test_nothing_is_listed_before_its_approval_nor_without_one_for_its_intent() -> None:
    of = approved(new())
    assert listed(new()) == ()
    assert standing_orders(of, SITES, None) == ()
    assert standing_orders(of, SITES, approval("0" * 64)) == ()
    assert standing_orders(of, SITES, replace(approval(), id="a-0")) == ()


def test_nothing_is_listed_of_what_can_not_be_read() -> None:
    of = approved(new())
    assert listed(of.with_certificate(replace(of.certificate, unreadable="its spec"))) == ()


def test_a_dropped_signing_request_is_not_listed() -> None:
    of = rollout(certificate(), signing=(signing(SigningState.DROPPED), signing(SigningState.ISSUED, number=2)))
    assert listed(of) == ()
