from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.api import CertificateState
from certcore.errors import PermanentError
from certcore.events import (
    AddressObserved,
    CertificateDelivered,
    CertificateLive,
    DeliveryFailed,
    DeliveryReason,
    DeliverySucceeded,
    EndpointObserved,
    EndpointsExpected,
)
from certcore.events import ServingVerdict as V
from certcore.subjects import Reporter
from registry.domain.change import Change
from registry.domain.proof import advance, deliver, fail_delivery, observe
from registry.domain.rollout import Rollout
from tests.unit.registry.samples import NOON, certificate, delivery, endpoint, revision, rollout

LATER = NOON + timedelta(hours=1)
SYNCER = Reporter("site1", "syncer")
MONITOR = Reporter("hub", "monitor")
URL = endpoint().url


def delivering(*, holds: int | None = 1, sees: int | None = 1) -> Rollout:
    """Revision 2 is wanted, revision 1 is proven."""
    return rollout(
        certificate(CertificateState.DELIVERING, ordered=2, wanted=2),
        revisions=(revision(2), revision(1)),
        deliveries=(delivery(holds=holds),),
        endpoints=(endpoint(V.WANTED if sees else None, revision=sees),),
    )


def success(number: int = 2, target: str = "web") -> DeliverySucceeded:
    return DeliverySucceeded(
        certificate_id="c-1", revision=number, target=target, fingerprint_sha256=f"{number:064x}"
    )


def failure(number: int = 2, *, detail: str = "no answer") -> DeliveryFailed:
    return DeliveryFailed(
        certificate_id="c-1",
        revision=number,
        target="web",
        reason=DeliveryReason.UNREACHABLE,
        detail=detail,
        next_try=LATER,
    )


def look(verdict: V = V.WANTED, number: int | None = 2, *, url: str = URL, at: datetime = LATER) -> EndpointObserved:
    return EndpointObserved(
        certificate_id="c-1",
        url=url,
        verdict=verdict,
        served_revision=number,
        served_fingerprint_sha256=f"{number:064x}" if number else None,
        addresses=(
            AddressObserved(address="10.0.0.1", verdict=verdict, fingerprint_sha256=None, detail=""),
            AddressObserved(address="10.0.0.2", verdict=verdict, fingerprint_sha256=None, detail="slow"),
        ),
        observed_at=at,
    )


def kinds(change: Change) -> list[type]:
    return [type(item) for item in change.announced]


def test_a_delivery_is_announced_and_not_yet_a_proof() -> None:
    change = deliver(delivering(), success(), SYNCER, now=LATER)
    assert [item.revision for item in change.deliveries] == [2]
    assert kinds(change) == [CertificateDelivered]
    assert change.certificate is not None
    assert change.certificate.state is CertificateState.DELIVERING
    assert "waiting for endpoint" in change.certificate.reason


def test_a_delivery_that_was_reported_before_is_not_announced_again() -> None:
    assert kinds(deliver(delivering(holds=2), success(), SYNCER, now=LATER)) == []


def test_the_last_delivery_makes_it_live_where_every_endpoint_was_seen() -> None:
    change = deliver(delivering(sees=2), success(), SYNCER, now=LATER)
    assert kinds(change) == [CertificateDelivered, CertificateLive, EndpointsExpected]
    assert change.certificate is not None
    assert (change.certificate.state, change.certificate.proven) == (CertificateState.LIVE, 2)


@pytest.mark.parametrize("number", [1, 3])
def test_a_delivery_of_a_revision_that_is_not_wanted_changes_nothing(number: int) -> None:
    for change in (
        deliver(delivering(), success(number), SYNCER, now=LATER),
        fail_delivery(delivering(), failure(number), SYNCER, now=LATER),
    ):
        assert change == Change(f"revision {number} is not the wanted one")


def test_a_failed_delivery_is_kept_with_its_reason() -> None:
    change = fail_delivery(delivering(), failure(), SYNCER, now=LATER)
    [found] = change.deliveries
    assert (found.failed_revision, found.failure, found.next_try) == (2, "unreachable: no answer", LATER)
    assert "target web (unreachable: no answer)" in change.reason
    assert change.announced == ()


def test_a_failure_without_detail_is_its_reason_alone() -> None:
    [found] = fail_delivery(delivering(), failure(detail=""), SYNCER, now=LATER).deliveries
    assert found.failure == "unreachable"


@pytest.mark.parametrize("who", [Reporter("site2", "syncer"), Reporter("site1", "pusher"), MONITOR])
def test_nobody_reports_for_the_target_of_another(who: Reporter) -> None:
    with pytest.raises(PermanentError, match="can't report for syncer at site1"):
        deliver(delivering(), success(), who, now=LATER)
    with pytest.raises(PermanentError, match="can't report for syncer at site1"):
        fail_delivery(delivering(), failure(), who, now=LATER)


def test_a_target_that_the_certificate_has_not_is_refused() -> None:
    with pytest.raises(PermanentError, match="has no target other"):
        deliver(delivering(), success(target="other"), SYNCER, now=LATER)


def test_the_last_look_makes_it_live_and_the_old_revision_unaccepted() -> None:
    change = observe(delivering(holds=2), look(), MONITOR, now=LATER)
    live, expected = change.announced
    assert isinstance(live, CertificateLive)
    assert isinstance(expected, EndpointsExpected)
    assert live.revision == 2
    assert [item.revision for item in expected.accepted] == [2]


def test_a_look_is_kept_with_its_addresses_and_first_detail() -> None:
    found = observe(delivering(), look(V.PREVIOUS, 1), MONITOR, now=LATER).endpoint
    assert found is not None
    assert (found.verdict, found.served_revision, found.observed_at) == (V.PREVIOUS, 1, LATER)
    assert (found.addresses, found.detail) == (("10.0.0.1", "10.0.0.2"), "slow")


def test_a_look_that_is_older_than_the_stored_one_changes_nothing() -> None:
    known = delivering()
    known = replace(known, endpoints=(replace(known.endpoints[0], observed_at=LATER),))
    change = observe(known, look(at=NOON), MONITOR, now=LATER)
    assert change == Change("a newer observation is stored")


def test_a_look_at_an_endpoint_that_the_certificate_has_not_changes_nothing() -> None:
    change = observe(delivering(), look(url="https://other.example.org"), MONITOR, now=LATER)
    assert change == Change("the certificate has no endpoint https://other.example.org")


def test_only_a_monitor_reports_what_an_endpoint_serves() -> None:
    with pytest.raises(PermanentError, match="can't report what an endpoint serves"):
        observe(delivering(), look(), SYNCER, now=LATER)


@pytest.mark.parametrize("state", [state for state in CertificateState if state is not CertificateState.DELIVERING])
def test_only_a_certificate_that_is_delivered_is_advanced(state: CertificateState) -> None:
    proven = delivering(holds=2, sees=2)
    change = advance(replace(proven, certificate=replace(proven.certificate, state=state)), now=LATER)
    assert change == Change(f"the certificate is {state}")


@given(holds=st.none() | st.integers(1, 3), sees=st.none() | st.integers(1, 3))
def test_it_is_live_by_proof_of_the_wanted_revision_and_by_nothing_else(holds: int | None, sees: int | None) -> None:
    change = advance(delivering(holds=holds, sees=sees), now=LATER)
    assert change.certificate is not None
    assert (change.certificate.state is CertificateState.LIVE) == (holds == sees == 2)
