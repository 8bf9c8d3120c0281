from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.api import EndpointState, TargetState
from certcore.events import ServingVerdict as V
from certcore.placements import PLATFORM, Action
from registry.domain.endpoint import Endpoint
from registry.domain.overview import Overview
from registry.domain.placement import Placement
from registry.domain.revision import Revision
from registry.domain.rollout import Rollout
from tests.unit.registry.samples import NOON, certificate, endpoint, placement, revision, rollout

REVISIONS = (revision(2), revision(1))
LATER = NOON + timedelta(days=7)


def wanted(number: int, endpoints: tuple[Endpoint, ...], **of: Any) -> Rollout:
    """Revision `number` is wanted at the one target, which holds it unless `of` says otherwise."""
    held = placement(wanted=number, **{"holds": number} | of)
    return rollout(revisions=REVISIONS, placements=(held,), endpoints=endpoints)


def numbers(of: tuple[Revision, ...]) -> set[tuple[int, str]]:
    return {(item.number, item.variant) for item in of}


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
    seen = endpoint(verdict, revision=served)
    assert wanted(2, (seen,)).endpoint_state(seen) is state


def test_a_verdict_that_only_a_newer_monitor_knows_is_a_mismatch() -> None:
    seen = replace(endpoint(V.OTHER), verdict="melted")
    assert wanted(2, (seen,)).endpoint_state(seen) is EndpointState.MISMATCH


@pytest.mark.parametrize("verdict", [verdict for verdict in V if verdict is not V.WANTED])
def test_only_the_wanted_verdict_counts_as_served(verdict: V) -> None:
    seen = endpoint(verdict, revision=2)
    assert not wanted(2, (seen,)).is_served(seen)


def test_only_the_wanted_leaf_counts_as_served_whatever_number_was_reported() -> None:
    seen = replace(endpoint(V.WANTED, revision=1), served_revision=2)
    assert not wanted(2, (seen,)).is_served(seen)


def test_nothing_is_served_before_anything_is_wanted() -> None:
    seen = endpoint(V.WANTED, revision=1)
    assert not rollout(placements=(placement(wanted=None),), endpoints=(seen,)).is_served(seen)


@pytest.mark.parametrize(
    ("of", "seen", "state"),
    [
        (placement(wanted=2), [endpoint()], TargetState.PENDING),
        (placement(wanted=2, holds=1), [endpoint(V.WANTED, revision=2)], TargetState.PENDING),
        (placement(wanted=2, step="staging"), [], TargetState.IN_PROGRESS),
        (placement(wanted=2, holds=2), [endpoint()], TargetState.DELIVERED),
        (placement(wanted=2, holds=2), [], TargetState.DELIVERED),
        (placement(wanted=2, holds=2), [endpoint(V.WANTED, revision=2)], TargetState.VERIFIED),
        (placement(wanted=2, failed=True), [endpoint()], TargetState.FAILED),
        (placement(wanted=2, failed=True, step="staging"), [], TargetState.FAILED),
        (placement(wanted=2, holds=2, failed_generation=1), [endpoint(V.WANTED, revision=2)], TargetState.VERIFIED),
        (placement(wanted=2, holds=2), [endpoint(V.WANTED, revision=2), endpoint(number=1)], TargetState.DELIVERED),
        (placement(wanted=1, holds=1, action=Action.WITHDRAW), [], TargetState.WITHDRAWING),
        (placement(action=Action.WITHDRAW, held_generation=1), [], TargetState.WITHDRAWN),
    ],
)
def test_a_target_is_shown_by_what_it_holds_and_what_proves_it(
    of: Placement, seen: list[Endpoint], state: TargetState
) -> None:
    found = rollout(revisions=REVISIONS, placements=(of,), endpoints=tuple(seen))
    assert found.target_state(of) is state


def test_the_same_revision_in_an_older_generation_is_not_held() -> None:
    of = placement(wanted=1, holds=1, generation=3)
    assert wanted(1, ()).target_state(of) is TargetState.PENDING


def test_an_endpoint_of_another_target_proves_nothing() -> None:
    of = placement(wanted=2, holds=2)
    seen = endpoint(V.WANTED, revision=2, target="elsewhere")
    assert rollout(revisions=REVISIONS, placements=(of,), endpoints=(seen,)).target_state(of) is TargetState.DELIVERED


def test_an_endpoint_without_a_target_proves_those_that_have_none_of_their_own() -> None:
    shared = endpoint(V.WANTED, revision=2, target=None)
    own = endpoint(V.PREVIOUS, revision=1, target="own", number=1)
    web, other = placement("web", wanted=2, holds=2), placement("own", wanted=2, holds=2)
    found = rollout(revisions=REVISIONS, placements=(web, other), endpoints=(shared, own))
    assert (found.target_state(web), found.target_state(other)) == (TargetState.VERIFIED, TargetState.DELIVERED)


# ── wanted and accepted ─────────────────────────────────────────────────────────────────────────────────────


def test_until_the_wanted_revision_was_seen_those_since_the_last_proven_one_are_accepted() -> None:
    at = endpoint(proven=2)
    stored = tuple(revision(number) for number in (4, 3, 2, 1))
    found = rollout(revisions=stored, placements=(placement(wanted=4),), endpoints=(at,))
    assert numbers(found.wanted_at(at)) == {(4, PLATFORM)}
    assert numbers(found.accepted_at(at)) == {(3, PLATFORM), (2, PLATFORM)}


def test_nothing_else_is_accepted_once_the_wanted_revision_is_proven() -> None:
    at = endpoint(proven=2)
    assert wanted(2, (at,)).accepted_at(at) == ()


def test_at_a_rollback_the_later_revision_is_accepted_until_the_earlier_one_is_seen() -> None:
    back = placement(wanted=1, holds=2, generation=3)
    at = endpoint(V.WANTED, revision=2, proven=2)
    found = rollout(certificate(ordered=2, generation=3), revisions=REVISIONS, placements=(back,), endpoints=(at,))
    assert (numbers(found.wanted_at(at)), numbers(found.accepted_at(at))) == ({(1, PLATFORM)}, {(2, PLATFORM)})
    assert found.endpoint_state(at) is EndpointState.PREVIOUS
    assert found.accepted_at(replace(at, proven=1)) == ()
    assert found.expectation().generation == 3


def test_an_endpoint_wants_a_leaf_of_each_variant_that_may_be_served_there() -> None:
    cdn, at = placement("cdn", wanted=1, own_key=True), endpoint(target=None)
    both = rollout(revisions=(revision(), revision(variant="cdn")), placements=(placement(), cdn), endpoints=(at,))
    assert numbers(both.wanted_at(at)) == {(1, PLATFORM), (1, "cdn")}
    assert numbers(both.wanted_at(replace(at, target="cdn"))) == {(1, "cdn")}
    assert [item.variant for item in both.variants] == [PLATFORM, "cdn"]
    assert both.shown == revision()


def test_a_leaf_of_another_variant_is_never_accepted() -> None:
    at = endpoint(target="web")
    cdn = placement("cdn", wanted=1, own_key=True)
    found = rollout(
        revisions=(*REVISIONS, revision(variant="cdn")), placements=(placement(wanted=2), cdn), endpoints=(at,)
    )
    assert numbers(found.accepted_at(at)) == {(1, PLATFORM)}


def test_the_expectation_names_each_endpoint_with_its_leaves() -> None:
    at, cdn_at = endpoint(proven=1), endpoint(target="cdn", number=1)
    cdn = placement("cdn", wanted=None, own_key=True)
    of = certificate(generation=7, traceparent="00-trace-span-01")
    found = rollout(of, revisions=REVISIONS, placements=(placement(wanted=2), cdn), endpoints=(at, cdn_at))
    event = found.expectation()
    web, waiting = event.endpoints
    assert (event.generation, event.traceparent) == (7, "00-trace-span-01")
    assert ([item.revision for item in web.wanted], [item.revision for item in web.accepted]) == ([2], [1])
    assert (waiting.target, waiting.wanted, waiting.accepted) == ("cdn", (), ())


variants = st.sampled_from([PLATFORM, "cdn", "edge"])
stored_revisions = st.lists(st.tuples(st.integers(1, 4), variants), unique=True, max_size=8).map(
    lambda pairs: tuple(revision(number, variant=variant) for number, variant in sorted(pairs, reverse=True))
)
some_placements = st.lists(
    st.tuples(st.none() | st.integers(1, 4), variants, st.sampled_from(Action)), max_size=3
).map(
    lambda found: tuple(
        placement(f"t{number}", wanted=of, variant=variant, action=action)
        for number, (of, variant, action) in enumerate(found)
    )
)
some_endpoints = st.builds(
    lambda target, proven: endpoint(target=target, proven=proven),
    st.none() | st.sampled_from(["t0", "t1", "t9"]),
    st.integers(0, 4),
)


@given(stored_revisions, some_placements, some_endpoints)
def test_wanted_and_accepted_have_nothing_in_common_and_a_proof_ends_what_is_accepted(
    stored: tuple[Revision, ...], placements: tuple[Placement, ...], at: Endpoint
) -> None:
    found = rollout(revisions=stored, placements=placements, endpoints=(at,))
    wanted_leaves = {item.fingerprint_sha256 for item in found.wanted_at(at)}
    accepted = {item.fingerprint_sha256 for item in found.accepted_at(at)}
    assert wanted_leaves.isdisjoint(accepted)
    if not wanted_leaves or all(item.number == at.proven for item in found.wanted_at(at)):
        assert not accepted


# ── progress ────────────────────────────────────────────────────────────────────────────────────────────────

some_held = st.lists(st.tuples(st.none() | st.integers(1, 3), st.booleans()), min_size=1, max_size=4)
some_seen = st.lists(
    st.tuples(st.none() | st.sampled_from(V), st.none() | st.integers(1, 3), st.none() | st.just("t0")),
    min_size=1,
    max_size=4,
)


@given(some_held, some_seen, st.integers(1, 3))
def test_proven_means_that_every_endpoint_serves_it_and_every_target_holds_it(
    held: list[tuple[int | None, bool]], seen: list[tuple[V | None, int | None, str | None]], number: int
) -> None:
    of = rollout(
        revisions=tuple(revision(of) for of in (3, 2, 1)),
        placements=tuple(
            placement(f"t{at}", wanted=number, holds=holds, failed=failed) for at, (holds, failed) in enumerate(held)
        ),
        endpoints=tuple(
            endpoint(verdict, revision=served, target=target, number=at)
            for at, (verdict, served, target) in enumerate(seen)
        ),
    )
    found = of.progress
    every = all(holds == number for holds, _ in held) and all(
        (verdict, served) == (V.WANTED, number) for verdict, served, _ in seen
    )
    assert found.proven == every
    assert (found.targets_total, found.endpoints_total) == (len(held), len(seen))
    open_ones = found.targets_total - found.targets_done + found.endpoints_total - found.endpoints_done
    assert len(found.missing) == open_ones
    assert ("waiting for" in found.reason) == (not found.proven)


def test_a_variant_that_waits_holds_up_no_other() -> None:
    waiting = placement("cdn", wanted=None, own_key=True)
    seen = (endpoint(V.WANTED, revision=1), endpoint(target="cdn", number=1))
    found = rollout(placements=(placement(holds=1), waiting), endpoints=seen).progress
    assert found.proven
    assert (found.targets_total, found.endpoints_total) == (1, 1)


def test_a_reason_names_what_is_missing_and_why() -> None:
    of = rollout(placements=(placement(failed=True),), endpoints=(endpoint(V.UNREACHABLE),))
    assert of.progress.reason == (
        "0 of 1 targets hold it, 0 of 1 endpoints serve it; waiting for target web (unreachable: no answer),"
        " endpoint https://checkout.example.org:8443 (unreachable)"
    )


def test_a_reason_counts_what_it_doesn_t_name() -> None:
    of = rollout(endpoints=tuple(endpoint(number=number) for number in range(5)))
    assert of.progress.reason.endswith(" and 3 more")


def test_the_leaf_that_was_wanted_before_is_not_called_wanted() -> None:
    found = wanted(2, (endpoint(V.WANTED, revision=1),)).progress
    assert found.missing == ("endpoint https://checkout.example.org:8443 (previous)",)


def test_where_no_endpoint_is_watched_the_reason_says_so() -> None:
    assert wanted(2, ()).progress.reason.endswith("no endpoint is watched")


def test_where_nothing_should_be_held_nothing_is_proven() -> None:
    found = rollout(placements=(placement(action=Action.WITHDRAW),), endpoints=()).progress
    assert not found.proven
    assert found.reason == "no target should hold anything"


def test_what_is_served_ends_with_the_first_leaf_that_is_seen_or_held_anywhere() -> None:
    early, late = replace(revision(1), not_after=NOON), replace(revision(2), not_after=LATER)
    held = placement(wanted=2, holds=2)
    for placements, endpoints, until in (
        ((), (), None),
        ((placement(wanted=2),), (), None),
        ((held,), (), LATER),
        ((held,), (endpoint(V.PREVIOUS, revision=1),), NOON),
        ((held,), (endpoint(V.WANTED, revision=2),), LATER),
        ((held,), (endpoint(V.UNREACHABLE),), LATER),
        ((placement(wanted=2),), (endpoint(V.WANTED, revision=2),), LATER),
        ((placement(wanted=2, holds=1), held), (endpoint(V.WANTED, revision=2),), NOON),
    ):
        found = rollout(revisions=(late, early), placements=placements, endpoints=endpoints)
        assert found.served_until == until, (placements, endpoints)


def test_an_overview_counts_every_place_and_those_that_have_what_is_wanted() -> None:
    cdn, seen = placement("edge", wanted=None, own_key=True), endpoint(V.WANTED, revision=1)
    found = rollout(placements=(placement(holds=1), cdn), endpoints=(seen, endpoint(number=1))).overview()
    assert (found.revision, found.not_after) == (1, revision().not_after)
    assert (found.targets_done, found.targets_total) == (1, 2)
    assert (found.endpoints_done, found.endpoints_total) == (1, 2)
    assert rollout(placements=(cdn,), endpoints=()).overview() == Overview(targets_total=1)
