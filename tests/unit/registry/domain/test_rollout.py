import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.api import EndpointState, TargetState
from certcore.events import ServingVerdict as V
from registry.domain.certificate import Delivery, Endpoint
from registry.domain.rollout import accepted, endpoint_state, is_served, progress, target_state
from tests.unit.registry.samples import certificate, delivery, endpoint, revision

wanted_revisions = st.integers(min_value=0, max_value=3)
deliveries = st.lists(
    st.tuples(st.none() | st.integers(1, 3), st.none() | st.integers(1, 3)), min_size=1, max_size=4
).map(
    lambda found: [delivery(f"t{number}", holds=holds, failed=failed) for number, (holds, failed) in enumerate(found)]
)
endpoints = st.lists(
    st.tuples(
        st.none() | st.sampled_from(V), st.none() | st.integers(1, 3), st.none() | st.sampled_from(["t0", "t1"])
    ),
    min_size=1,
    max_size=4,
).map(
    lambda found: [
        endpoint(verdict, revision=seen, target=target, number=number)
        for number, (verdict, seen, target) in enumerate(found)
    ]
)


@pytest.mark.parametrize(
    ("verdict", "served", "state"),
    [
        (None, None, EndpointState.UNSEEN),
        (V.WANTED, 2, EndpointState.SERVED),
        (V.WANTED, 1, EndpointState.PREVIOUS),
        (V.PREVIOUS, 1, EndpointState.PREVIOUS),
        (V.OTHER, None, EndpointState.MISMATCH),
        (V.EXPIRED, 1, EndpointState.MISMATCH),
        (V.WRONG_HOST, None, EndpointState.MISMATCH),
        (V.UNTRUSTED, None, EndpointState.MISMATCH),
        (V.TLS_FAILED, None, EndpointState.UNREACHABLE),
        (V.UNREACHABLE, None, EndpointState.UNREACHABLE),
    ],
)
def test_an_endpoint_is_shown_by_what_was_seen_there(
    verdict: V | None, served: int | None, state: EndpointState
) -> None:
    assert endpoint_state(endpoint(verdict, revision=served), 2) is state


@pytest.mark.parametrize("verdict", [verdict for verdict in V if verdict is not V.WANTED])
def test_only_the_wanted_revision_counts_as_served(verdict: V) -> None:
    assert not is_served(endpoint(verdict, revision=2), 2)


def test_nothing_is_served_before_anything_is_wanted() -> None:
    assert not is_served(endpoint(V.WANTED, revision=0), 0)


@pytest.mark.parametrize(
    ("of", "seen", "state"),
    [
        (delivery(), [endpoint()], TargetState.PENDING),
        (delivery(holds=1), [endpoint(V.WANTED, revision=2)], TargetState.PENDING),
        (delivery(holds=2), [endpoint()], TargetState.DELIVERED),
        (delivery(holds=2), [], TargetState.DELIVERED),
        (delivery(holds=2), [endpoint(V.WANTED, revision=2)], TargetState.VERIFIED),
        (delivery(failed=2), [endpoint()], TargetState.FAILED),
        (delivery(holds=2, failed=2), [endpoint(V.WANTED, revision=2)], TargetState.FAILED),
        (delivery(holds=2, failed=1), [endpoint(V.WANTED, revision=2)], TargetState.VERIFIED),
        (delivery(holds=2), [endpoint(V.WANTED, revision=2), endpoint(number=1)], TargetState.DELIVERED),
    ],
)
def test_a_target_is_shown_by_what_it_holds_and_what_proves_it(
    of: Delivery, seen: list[Endpoint], state: TargetState
) -> None:
    assert target_state(of, seen, 2) is state


def test_an_endpoint_of_another_target_proves_nothing() -> None:
    seen = [endpoint(V.WANTED, revision=2, target="elsewhere")]
    assert target_state(delivery(holds=2), seen, 2) is TargetState.DELIVERED


def test_an_endpoint_without_a_target_proves_those_that_have_none_of_their_own() -> None:
    shared = endpoint(V.WANTED, revision=2, target=None)
    own = endpoint(V.PREVIOUS, revision=1, target="own", number=1)
    assert target_state(delivery("web", holds=2), [shared, own], 2) is TargetState.VERIFIED
    assert target_state(delivery("own", holds=2), [shared, own], 2) is TargetState.DELIVERED


@given(deliveries, endpoints, wanted_revisions)
def test_proven_means_that_every_endpoint_serves_it_and_every_target_holds_it(
    held: list[Delivery], seen: list[Endpoint], wanted: int
) -> None:
    found = progress(held, seen, wanted)
    every = all(item.revision == wanted for item in held) and all(
        item.verdict is V.WANTED and item.served_revision == wanted for item in seen
    )
    assert found.proven == (wanted > 0 and every)
    assert (found.targets_total, found.endpoints_total) == (len(held), len(seen))
    open_ones = found.targets_total - found.targets_done + found.endpoints_total - found.endpoints_done
    assert len(found.missing) == open_ones


@given(deliveries, endpoints, wanted_revisions)
def test_a_reason_always_says_something(held: list[Delivery], seen: list[Endpoint], wanted: int) -> None:
    found = progress(held, seen, wanted)
    assert found.reason
    assert ("waiting for" in found.reason) == (not found.proven)


def test_a_reason_names_what_is_missing_and_why() -> None:
    found = progress([delivery(failed=1)], [endpoint(V.UNREACHABLE)], 1)
    assert found.reason == (
        "0 of 1 targets hold it, 0 of 1 endpoints serve it; waiting for target web (unreachable: no answer),"
        " endpoint https://checkout.example.org:8443 (unreachable)"
    )


def test_a_reason_counts_what_it_doesn_t_name() -> None:
    found = progress([], [endpoint(number=number) for number in range(5)], 1)
    assert found.reason.endswith(" and 2 more")


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6))
def test_accepted_are_the_wanted_revision_and_those_since_the_last_proven(
    proven: int, ahead: int, stored_ahead: int
) -> None:
    wanted = proven + ahead
    stored = [revision(number) for number in range(1, wanted + stored_ahead + 1)]
    found = [item.revision for item in accepted(certificate(proven=proven, wanted=wanted), stored)]
    assert found == sorted(range(max(proven, 1), wanted + 1), reverse=True)


def test_only_the_wanted_revision_is_accepted_once_it_is_proven() -> None:
    found = accepted(certificate(proven=2, wanted=2), [revision(1), revision(2), revision(3)])
    assert [item.revision for item in found] == [2]
