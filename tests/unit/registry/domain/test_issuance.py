from dataclasses import replace
from datetime import timedelta

import pytest

from certcore.api import CertificateState as S
from certcore.errors import PermanentError, TransientError
from certcore.events import (
    CertificateFailing,
    CertificateIssued,
    EndpointsExpected,
    FailureCode,
    MustAct,
    RevisionFailed,
    RevisionIssued,
    RevisionStarted,
)
from certcore.placements import PLATFORM, Action
from registry.domain.change import Change
from registry.domain.deployment import Deployment
from registry.domain.issuance import fail, issue, start
from registry.domain.placement import Placement
from registry.domain.revision import Revision, SigningRequest, SigningState
from registry.domain.rollout import Rollout
from tests.unit.registry.samples import (
    NOON,
    certificate,
    endpoint,
    fingerprint,
    intent,
    placement,
    revision,
    rollout,
    sealed,
    signing,
)

LATER = NOON + timedelta(hours=1)
NAME = "checkout.example.org"
WEB = {"kind": "files", "name": "web", "site": "site1"}
CDN = {"kind": "cdn", "name": "cdn"}


def awaiting(state: S = S.RENEWING, **changes: object) -> Rollout:
    """It waits for revision 2, which is stored; revision 1 is held."""
    parts: dict[str, object] = {
        "revisions": (revision(2, announced=False), revision(1)),
        "placements": (placement(holds=1),),
        "certificate": certificate(state, ordered=2),
    }
    return replace(rollout(), **(parts | changes))  # type: ignore[arg-type] # parts by name


def with_cdn(
    state: S,
    *,
    web: Placement | None = None,
    cdn: Placement | None = None,
    stored: tuple[Revision, ...] = (),
    requests: tuple[SigningRequest, ...] = (),
    reason: str = "as it was made",
) -> Rollout:
    """Revision 1 is ordered in two variants."""
    return rollout(
        certificate(state, intent=intent(targets=[WEB, CDN]), generation=0, reason=reason),
        revisions=stored,
        placements=(
            web or placement(wanted=None),
            cdn or placement("cdn", wanted=None, own_key=True),
        ),
        endpoints=(endpoint(), endpoint(target="cdn", number=1)),
        signing=requests,
    )


def announcement(number: int = 2, *, leaf: str | None = None, variant: str = PLATFORM) -> RevisionIssued:
    return RevisionIssued(
        certificate_id="c-1",
        revision=number,
        fingerprint_sha256=leaf or fingerprint(number, variant),
        ca="ca",
        validation_method="dns-01",
        ari_id="ari",
        variant=variant,
    )


def started(number: int, variant: str = PLATFORM) -> RevisionStarted:
    return RevisionStarted(certificate_id="c-1", revision=number, ca="ca", variant=variant)


def failed(number: int, reason: str = "no answer", variant: str = PLATFORM) -> RevisionFailed:
    return RevisionFailed(
        certificate_id="c-1",
        revision=number,
        reason=reason,
        next_try=LATER,
        variant=variant,
        code=FailureCode.RATE_LIMITED,
        must_act=MustAct.OPERATOR,
    )


def state_of(change: Change) -> S:
    assert change.certificate is not None
    return change.certificate.state


# ── started and failed ──────────────────────────────────────────────────────────────────────────────────────


def test_a_start_is_shown_as_the_reason() -> None:
    change = start(awaiting(S.APPROVED), started(2), now=LATER)
    assert change.certificate is not None
    assert change.certificate.state is S.ISSUING
    assert change.certificate.reason == change.reason == "revision 2 is being ordered from ca"
    assert change.announced == ()


def test_a_start_keeps_the_next_try_of_a_failing_one() -> None:
    failing = certificate(S.FAILING, ordered=2, next_try=LATER)
    change = start(awaiting(certificate=failing), started(2), now=LATER)
    assert change.certificate is not None
    assert change.certificate.next_try == LATER


@pytest.mark.parametrize("number", [1, 3])
def test_a_start_or_failure_of_a_revision_that_nobody_awaits_changes_nothing(number: int) -> None:
    expected = Change(f"revision {number} (platform) is not the one that is awaited")
    assert start(awaiting(), started(number), now=LATER) == expected
    assert fail(awaiting(), failed(number), now=LATER) == expected


def test_a_failure_is_announced_with_what_the_issuer_says() -> None:
    change = fail(awaiting(), failed(2, "x" * 600), now=LATER)
    assert change.certificate is not None
    assert (change.certificate.state, change.certificate.next_try) == (S.FAILING, LATER)
    [failing] = change.announced
    assert isinstance(failing, CertificateFailing)
    assert (failing.reason, failing.next_try) == ("x" * 500, LATER)
    assert (failing.code, failing.must_act) == (FailureCode.RATE_LIMITED, MustAct.OPERATOR)


@pytest.mark.parametrize("state", [S.APPROVED, S.ISSUING, S.DELIVERING, S.LIVE, S.RENEWING, S.FAILING])
def test_a_variant_s_failure_leaves_the_certificate_s_state(state: S) -> None:
    of = with_cdn(state, requests=(signing(SigningState.ORDERED),))
    change = fail(of, failed(1, variant="cdn"), now=LATER)
    assert change.certificate == of.certificate
    assert [item.failure for item in change.signing] == ["no answer"]
    [failing] = change.announced
    assert isinstance(failing, CertificateFailing)
    assert failing.variant == "cdn"


def test_a_failure_of_a_variant_that_was_not_ordered_changes_nothing() -> None:
    of = with_cdn(S.APPROVED, requests=(signing(SigningState.WANTED),))
    assert fail(of, failed(1, variant="cdn"), now=LATER).signing == ()


@pytest.mark.parametrize("state", [S.DELIVERING, S.LIVE])
def test_where_a_variant_came_first_the_platform_s_reports_are_still_taken(state: S) -> None:
    of = with_cdn(state, cdn=placement("cdn", holds=1, own_key=True), stored=(revision(variant="cdn"),))
    assert start(of, started(1), now=LATER) == Change("revision 1 is being ordered from ca")
    assert state_of(fail(of, failed(1), now=LATER)) is S.FAILING


@pytest.mark.parametrize("state", [S.DELIVERING, S.LIVE, S.FAILING])
def test_a_variant_s_start_does_not_hide_what_became_of_the_platform_s(state: S) -> None:
    web = placement(wanted=None if state is S.FAILING else 1)
    of = with_cdn(state, web=web, requests=(signing(SigningState.ORDERED),))
    assert start(of, started(1, "cdn"), now=LATER) == Change("revision 1 is being ordered from ca")


# ── issued ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_issued_revision_is_wanted_and_its_deployments_are_ordered() -> None:
    change = issue(awaiting(), announcement(), sealed(2), {}, now=LATER)
    assert change.certificate is not None
    assert change.revision is not None
    assert (change.certificate.state, change.certificate.generation) == (S.DELIVERING, 2)
    assert [(item.wanted, item.generation, item.held, item.ordered_at) for item in change.placements] == [
        (2, 2, 1, LATER)
    ]
    assert (change.revision.announced, change.revision.ca, change.revision.ari_id) == (True, "ca", "ari")
    issued, deployment, expected = change.announced
    assert isinstance(issued, CertificateIssued)
    assert isinstance(deployment, Deployment)
    [order] = deployment.order.placements
    assert (deployment.place, deployment.service, order.revision, order.generation) == ("site1", "syncer", 2, 2)
    assert isinstance(expected, EndpointsExpected)
    [at] = expected.endpoints
    assert ([item.revision for item in at.wanted], [item.revision for item in at.accepted]) == ([2], [1])
    assert expected.generation == 2


def test_a_new_generation_forgets_why_the_one_before_was_not_delivered() -> None:
    before = placement(holds=1, failed_generation=1, failure="no answer", next_try=LATER, step="staging")
    [found] = issue(awaiting(placements=(before,)), announcement(), sealed(2), {}, now=LATER).placements
    assert (found.held, found.failure, found.next_try, found.step, found.is_failed) == (1, "", None, "", False)


def test_what_is_withdrawn_gets_no_new_revision() -> None:
    withdrawn = placement("old", holds=1, action=Action.WITHDRAW)
    of = awaiting(placements=(placement(holds=1), withdrawn))
    assert [item.target for item in issue(of, announcement(), sealed(2), {}, now=LATER).placements] == ["web"]


def test_the_reason_says_what_the_new_revision_waits_for() -> None:
    change = issue(awaiting(), announcement(), sealed(2), {}, now=LATER)
    assert "0 of 1 targets hold it" in change.reason
    assert change.certificate is not None
    assert change.certificate.reason == change.reason


def test_the_wanted_revision_announced_again_changes_nothing() -> None:
    change = issue(awaiting(), announcement(1), sealed(1), {}, now=LATER)
    assert change == Change("revision 1 is not newer than the wanted one")


def test_a_revision_that_is_not_stored_yet_is_tried_again() -> None:
    with pytest.raises(TransientError, match="not stored yet"):
        issue(awaiting(revisions=(revision(1),)), announcement(), sealed(2), {}, now=LATER)


def test_another_leaf_than_the_stored_one_is_refused() -> None:
    with pytest.raises(PermanentError, match="another leaf"):
        issue(awaiting(), announcement(leaf="f" * 64), sealed(2), {}, now=LATER)


def test_a_revision_that_a_recipient_can_not_open_is_refused() -> None:
    with pytest.raises(PermanentError, match="not sealed to site1-syncer"):
        issue(awaiting(), announcement(), {}, {}, now=LATER)


def test_the_first_variant_to_come_is_delivered_without_the_other() -> None:
    of = with_cdn(S.APPROVED, stored=(revision(variant="cdn"),), requests=(signing(SigningState.ORDERED),))
    change = issue(of, announcement(1, variant="cdn"), {}, {}, now=LATER)
    assert state_of(change) is S.DELIVERING
    assert [(item.target, item.wanted) for item in change.placements] == [("cdn", 1)]
    assert [item.state for item in change.signing] == [SigningState.ISSUED]
    assert [item.place for item in change.announced if isinstance(item, Deployment)] == ["hub"]


@pytest.mark.parametrize("state", [S.DELIVERING, S.LIVE])
def test_a_variant_that_comes_later_changes_only_what_is_missing(state: S) -> None:
    of = with_cdn(
        state,
        web=placement(holds=1),
        stored=(revision(), revision(variant="cdn")),
        requests=(signing(SigningState.ORDERED),),
    )
    change = issue(of, announcement(1, variant="cdn"), sealed(1), {}, now=LATER)
    assert state_of(change) is state
    [expected] = [item for item in change.announced if isinstance(item, EndpointsExpected)]
    assert [item.variant for at in expected.endpoints for item in at.wanted] == [PLATFORM, "cdn"]


def test_a_platform_that_fails_is_not_mended_by_another_variant_but_by_its_own() -> None:
    stored = (revision(), revision(variant="cdn"))
    of = with_cdn(S.FAILING, stored=stored, requests=(signing(SigningState.ORDERED),), reason="the CA refused")
    change = issue(of, announcement(1, variant="cdn"), {}, {}, now=LATER)
    assert change.certificate is not None
    assert (change.certificate.state, change.certificate.reason) == (S.FAILING, "the CA refused")
    assert [item.wanted for item in change.placements] == [1]
    assert state_of(issue(of, announcement(1), sealed(1), {}, now=LATER)) is S.DELIVERING
