from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.api import CertificateState as S
from certcore.errors import PermanentError
from certcore.events import (
    CertificateDelivered,
    CertificateLive,
    DeliveryFailed,
    DeliveryFailedV1,
    DeliveryProgressed,
    DeliveryReason,
    DeliveryRolledBack,
    DeliverySucceededV1,
    DeliveryWithdrawn,
    EndpointsExpected,
)
from certcore.events import ServingVerdict as V
from certcore.placements import Action
from certcore.subjects import Reporter
from registry.domain.change import Change
from registry.domain.proof import advance, deliver, fail_delivery, observe, progress_delivery, roll_back, withdraw
from registry.domain.rollout import Rollout
from tests.unit.registry.samples import (
    NOON,
    certificate,
    delivered,
    endpoint,
    fingerprint,
    look,
    placement,
    revision,
    rollout,
)

LATER = NOON + timedelta(hours=1)
SYNCER = Reporter("site1", "syncer")
MONITOR = Reporter("hub", "monitor")
URL = endpoint().url


def delivering(*, holds: int | None = 1, sees: int | None = 1, state: S = S.DELIVERING) -> Rollout:
    """Revision 2 is wanted in generation 2; what the endpoint was seen serving is proven there, else revision 1."""
    return rollout(
        certificate(state, ordered=2, generation=2),
        revisions=(revision(2), revision(1)),
        placements=(placement(wanted=2, holds=holds),),
        endpoints=(endpoint(V.WANTED if sees else None, revision=sees, proven=sees or 1),),
    )


def failure(generation: int = 2, *, detail: str = "no answer") -> DeliveryFailed:
    return DeliveryFailed(
        certificate_id="c-1",
        target="web",
        generation=generation,
        revision=2,
        reason=DeliveryReason.UNREACHABLE,
        detail=detail,
        next_try=LATER,
    )


def step(generation: int = 2) -> DeliveryProgressed:
    return DeliveryProgressed(
        certificate_id="c-1", target="web", generation=generation, revision=2, step="staging", next_look=LATER
    )


def back(generation: int = 2) -> DeliveryRolledBack:
    return DeliveryRolledBack(
        certificate_id="c-1",
        target="web",
        generation=generation,
        revision=2,
        held_revision=1,
        held_fingerprint_sha256=fingerprint(1),
        reason=DeliveryReason.NOT_SERVED,
        detail="another leaf is served",
    )


def gone(generation: int = 2) -> DeliveryWithdrawn:
    return DeliveryWithdrawn(certificate_id="c-1", target="web", generation=generation)


def every_report(of: Rollout, generation: int, who: Reporter = SYNCER) -> list[Change]:
    return [
        deliver(of, delivered(generation), who, now=LATER),
        fail_delivery(of, failure(generation), who, now=LATER),
        progress_delivery(of, step(generation), who, now=LATER),
        roll_back(of, back(generation), who, now=LATER),
        withdraw(of, gone(generation), who, now=LATER),
    ]


def kinds(change: Change) -> list[type]:
    return [type(item) for item in change.announced]


# ── deliveries ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_delivery_is_announced_and_not_yet_a_proof() -> None:
    change = deliver(delivering(), delivered(), SYNCER, now=LATER)
    assert [(item.held, item.held_generation) for item in change.placements] == [(2, 2)]
    assert kinds(change) == [CertificateDelivered]
    assert change.certificate is not None
    assert change.certificate.state is S.DELIVERING
    assert "waiting for endpoint" in change.certificate.reason


def test_a_delivery_that_was_reported_before_is_not_announced_again() -> None:
    assert kinds(deliver(delivering(holds=2), delivered(), SYNCER, now=LATER)) == []


def test_the_last_delivery_makes_it_live_where_every_endpoint_was_seen() -> None:
    change = deliver(delivering(sees=2), delivered(), SYNCER, now=LATER)
    assert kinds(change) == [CertificateDelivered, CertificateLive, EndpointsExpected]
    assert change.certificate is not None
    assert (change.certificate.state, change.certificate.generation) == (S.LIVE, 3)


@pytest.mark.parametrize("generation", [0, 1, 3, 2**32 + 2])
def test_a_report_of_another_generation_changes_nothing(generation: int) -> None:
    for change in every_report(delivering(), generation):
        assert change == Change(f"generation {generation} of target web is not the wanted one (2)")


def test_after_a_rollback_a_report_of_the_later_revision_changes_nothing() -> None:
    of = delivering(holds=2)
    of = of.with_placement(replace(of.placements[0], wanted=1, generation=3))
    assert deliver(of, delivered(2, revision=2), SYNCER, now=LATER).placements == ()
    [held] = deliver(of, delivered(3, revision=1), SYNCER, now=LATER).placements
    assert held.is_held


def test_another_revision_under_the_wanted_generation_is_not_held() -> None:
    [held] = deliver(delivering(), delivered(2, revision=1), SYNCER, now=LATER).placements
    assert not held.is_held


def test_a_report_of_the_first_version_counts_where_the_generation_is_the_revision_s_number() -> None:
    old = DeliverySucceededV1(certificate_id="c-1", revision=2, target="web", fingerprint_sha256=fingerprint(2))
    [held] = deliver(delivering(), old.upgraded(), SYNCER, now=LATER).placements
    assert held.is_held
    old_failure = DeliveryFailedV1(
        certificate_id="c-1",
        revision=2,
        target="web",
        reason=DeliveryReason.UNREACHABLE,
        detail="no answer",
        next_try=None,
    )
    [failed] = fail_delivery(delivering(), old_failure.upgraded(), SYNCER, now=LATER).placements
    assert failed.is_failed
    late = DeliverySucceededV1(certificate_id="c-1", revision=1, target="web", fingerprint_sha256=fingerprint(1))
    assert deliver(delivering(), late.upgraded(), SYNCER, now=LATER).placements == ()


def test_a_failed_delivery_is_kept_with_its_reason() -> None:
    change = fail_delivery(delivering(), failure(), SYNCER, now=LATER)
    [found] = change.placements
    assert (found.failed_generation, found.failure, found.next_try) == (2, "unreachable: no answer", LATER)
    assert found.held == 1
    assert "target web (unreachable: no answer)" in change.reason
    assert change.announced == ()


def test_a_failure_without_detail_is_its_reason_alone() -> None:
    [found] = fail_delivery(delivering(), failure(detail=""), SYNCER, now=LATER).placements
    assert found.failure == "unreachable"


def test_a_reason_that_only_a_newer_place_knows_is_kept() -> None:
    report = DeliveryFailed.model_validate(failure().model_dump() | {"reason": "out_of_stock"})
    [found] = fail_delivery(delivering(), report, SYNCER, now=LATER).placements
    assert found.failure == "out_of_stock: no answer"


def test_a_step_and_a_failure_of_a_slow_delivery_replace_each_other() -> None:
    of = delivering()
    [under_way] = progress_delivery(of, step(), SYNCER, now=LATER).placements
    assert (under_way.step, under_way.is_failed, under_way.next_try) == ("staging", False, LATER)
    [failed] = fail_delivery(of.with_placement(under_way), failure(), SYNCER, now=LATER).placements
    assert (failed.step, failed.is_failed) == ("", True)
    [again] = progress_delivery(of.with_placement(failed), step(), SYNCER, now=LATER).placements
    assert (again.step, again.failure, again.is_failed) == ("staging", "", False)


def test_a_target_that_rolled_back_by_itself_holds_the_earlier_revision_and_failed() -> None:
    [found] = roll_back(delivering(holds=2), back(), SYNCER, now=LATER).placements
    assert (found.held, found.is_held, found.is_failed, found.next_try) == (1, False, True, None)
    assert found.failure == "rolled back to revision 1: not_served: another leaf is served"


def test_only_what_should_be_withdrawn_is() -> None:
    of = delivering(holds=2)
    assert withdraw(of, gone(), SYNCER, now=LATER) == Change("target web should hold something")
    of = of.with_placement(replace(of.placements[0], action=Action.WITHDRAW))
    [found] = withdraw(of, gone(), SYNCER, now=LATER).placements
    assert found.is_withdrawn


@pytest.mark.parametrize("who", [Reporter("site2", "syncer"), Reporter("site1", "pusher"), MONITOR])
def test_nobody_reports_for_the_target_of_another(who: Reporter) -> None:
    with pytest.raises(PermanentError, match="can't report for syncer at site1"):
        every_report(delivering(), 2, who)


def test_a_target_that_the_certificate_has_not_is_refused() -> None:
    with pytest.raises(PermanentError, match="has no target other"):
        deliver(delivering(), delivered(target="other"), SYNCER, now=LATER)


# ── observations ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_last_look_makes_it_live_and_the_old_revision_unaccepted() -> None:
    change = observe(delivering(holds=2), look(), MONITOR, now=LATER)
    live, expected = change.announced
    assert isinstance(live, CertificateLive)
    assert isinstance(expected, EndpointsExpected)
    assert (live.revision, live.fingerprint_sha256) == (2, fingerprint(2))
    [at] = expected.endpoints
    assert ([item.revision for item in at.wanted], at.accepted) == ([2], ())
    assert change.certificate is not None
    assert expected.generation == change.certificate.generation == 3


def test_a_look_is_kept_with_its_addresses_and_first_detail() -> None:
    [found] = observe(delivering(), look(V.PREVIOUS, 1, in_a_row=0), MONITOR, now=LATER).endpoints
    assert (found.verdict, found.served_revision, found.observed_at) == (V.PREVIOUS, 1, LATER)
    assert (found.addresses, found.detail) == (("10.0.0.1", "10.0.0.2"), "slow")
    assert (found.in_a_row, found.proven, found.looked_at) == (0, 1, None)


def test_what_is_proven_is_the_revision_of_the_leaf_that_was_seen() -> None:
    for number in (None, 1, 7):
        [found] = observe(delivering(), look(V.WANTED, number, leaf=fingerprint(2)), MONITOR, now=LATER).endpoints
        assert found.proven == 2


def test_a_look_that_calls_another_leaf_wanted_proves_nothing() -> None:
    change = observe(delivering(holds=2), look(V.WANTED, 2, leaf="f" * 64), MONITOR, now=LATER)
    assert [item.proven for item in change.endpoints] == [1]
    assert change.certificate is not None
    assert change.certificate.state is S.DELIVERING


def test_a_look_that_is_older_than_the_stored_one_changes_nothing() -> None:
    of = delivering()
    of = replace(of, endpoints=(replace(of.endpoints[0], observed_at=LATER),))
    assert observe(of, look(at=NOON), MONITOR, now=LATER) == Change("a newer observation is stored")


@pytest.mark.parametrize("at", [datetime(2099, 1, 1, tzinfo=UTC), LATER + timedelta(minutes=5, seconds=1)])
def test_a_look_from_the_future_is_refused(at: datetime) -> None:
    with pytest.raises(PermanentError, match="the clock of monitor at hub is wrong"):
        observe(delivering(), look(at=at), MONITOR, now=LATER)


def test_a_clock_that_is_a_little_ahead_is_believed() -> None:
    assert observe(delivering(), look(at=LATER + timedelta(minutes=5)), MONITOR, now=LATER).endpoints


def test_a_look_at_an_endpoint_that_the_certificate_has_not_changes_nothing() -> None:
    change = observe(delivering(), look(url="https://other.example.org"), MONITOR, now=LATER)
    assert change == Change("the certificate has no endpoint https://other.example.org")


def test_only_a_monitor_reports_what_an_endpoint_serves() -> None:
    with pytest.raises(PermanentError, match="can't report what an endpoint serves"):
        observe(delivering(), look(), SYNCER, now=LATER)


def test_a_look_that_proves_nothing_new_announces_nothing() -> None:
    of = delivering(holds=2, sees=2, state=S.LIVE)
    assert observe(of, look(), MONITOR, now=LATER).announced == ()


@pytest.mark.parametrize("state", [state for state in S if state is not S.DELIVERING])
def test_only_a_certificate_that_is_delivered_is_advanced(state: S) -> None:
    of = delivering(holds=2, sees=2, state=state)
    assert advance(of, now=LATER) == Change(f"the certificate is {state}", certificate=of.certificate)


@given(holds=st.none() | st.integers(1, 3), sees=st.none() | st.integers(1, 3), other=st.none() | st.integers(1, 3))
def test_it_is_live_by_proof_of_all_that_is_wanted_and_by_nothing_else(
    holds: int | None, sees: int | None, other: int | None
) -> None:
    of = delivering(holds=holds, sees=sees)
    second = endpoint(V.WANTED if other else None, revision=other, number=1)
    change = advance(replace(of, endpoints=(*of.endpoints, second)), now=LATER)
    assert change.certificate is not None
    assert (change.certificate.state is S.LIVE) == (holds == sees == other == 2)
