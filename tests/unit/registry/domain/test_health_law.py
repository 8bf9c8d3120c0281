"""Health, whatever is stored."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from certcore.api import CertificateState as S
from certcore.conditions import Condition, ConditionStatus, ConditionType, Health
from certcore.events import ServingVerdict as V
from certcore.intent import Intent
from certcore.placements import PLATFORM, Action
from registry.domain.certificate import Certificate
from registry.domain.endpoint import Endpoint, ProbeWorker, is_stale
from registry.domain.health import assess
from registry.domain.placement import Placement
from registry.domain.revision import Revision, SigningRequest, SigningState
from registry.domain.rollout import Rollout
from tests.unit.registry.samples import NOON, certificate, endpoint, placement, revision, rollout, signing, worker

instants = st.integers(-3, 12).map(lambda minutes: NOON + timedelta(minutes=minutes))
maybe_instants = st.none() | instants
numbers = st.integers(0, 3)
maybe_numbers = st.none() | numbers
variants = st.sampled_from([PLATFORM, "cdn"])
texts = st.sampled_from(["", "something"])

intents = st.builds(
    lambda proof, targets: Intent.model_validate({"name": "checkout", "proof": proof, "targets": targets}),
    st.sampled_from(["endpoints", "none", "by oracle"]),
    st.sampled_from([[], [{"name": "web", "kind": "files", "site": "site1"}]]),
)
past = st.builds(
    Condition,
    type=st.sampled_from([*ConditionType, "Blessed"]),
    status=st.sampled_from([*ConditionStatus, "perhaps"]),
    reason=texts,
    message=texts,
    since=instants,
)
certificates: st.SearchStrategy[Certificate] = st.builds(
    lambda state, of, ordered, conditions, unreadable: certificate(
        state, intent=of, ordered=ordered, conditions=tuple(conditions), unreadable=unreadable
    ),
    st.sampled_from([*S, "frozen"]),
    intents,
    numbers,
    st.lists(past, max_size=2),
    st.none() | st.just("it can't be read"),
)
placements: st.SearchStrategy[Placement] = st.builds(
    Placement,
    certificate_id=st.just("c-1"),
    target=st.sampled_from(["web", "cdn", "gone"]),
    place=st.just("site1"),
    service=st.just("syncer"),
    kind=st.just("files"),
    variant=variants,
    generation=numbers,
    action=st.sampled_from(Action),
    wanted=maybe_numbers,
    ordered_at=maybe_instants,
    held=maybe_numbers,
    held_generation=maybe_numbers,
    failed_generation=maybe_numbers,
    failure=texts,
    step=texts,
)
endpoints: st.SearchStrategy[Endpoint] = st.builds(
    lambda verdict, seen, variant, target, number, rest: replace(
        endpoint(verdict, revision=seen, variant=variant, target=target, number=number), **rest
    ),
    st.none() | st.sampled_from([*V, "melted"]),
    maybe_numbers,
    variants,
    st.none() | st.sampled_from(["web", "cdn", "elsewhere"]),
    st.integers(0, 2),
    st.fixed_dictionaries(
        {
            "observed_at": maybe_instants,
            "looked_at": maybe_instants,
            "in_a_row": maybe_numbers,
            "proven": numbers,
            "detail": texts,
        }
    ),
)
revisions: st.SearchStrategy[Revision] = st.builds(
    lambda number, variant, announced, minutes: revision(
        number, variant=variant, announced=announced, lifetime=timedelta(minutes=minutes)
    ),
    numbers,
    variants,
    st.booleans(),
    st.sampled_from([1, 10**5]),
)
requests: st.SearchStrategy[SigningRequest] = st.builds(
    lambda state, number, failure: signing(state, number=number, failure=failure),
    st.sampled_from(SigningState),
    numbers,
    texts,
)
workers: st.SearchStrategy[ProbeWorker] = st.builds(
    lambda ended, period_s, missed: worker(ended=ended, period_s=period_s, missed=tuple(missed)),
    instants,
    st.sampled_from([0, 60, 600]),
    st.lists(st.sampled_from([endpoint(number=number).url for number in range(3)])),
)
rollouts: st.SearchStrategy[Rollout] = st.builds(
    Rollout,
    certificates,
    st.lists(revisions, max_size=3).map(tuple),
    st.lists(placements, max_size=3).map(tuple),
    st.lists(endpoints, max_size=3).map(tuple),
    st.lists(requests, max_size=2).map(tuple),
)
well = rollout(placements=(placement(holds=1),), endpoints=(endpoint(V.WANTED, revision=1, proven=1, in_a_row=0),))
# Drawn blindly, hardly anything is well: one part or the other of what is well is drawn anew.
nearly_well: st.SearchStrategy[Rollout] = st.builds(
    Rollout,
    st.just(well.certificate) | certificates,
    st.just(well.revisions),
    st.lists(st.just(well.placements[0]) | placements, min_size=1, max_size=2).map(tuple),
    st.lists(st.just(well.endpoints[0]) | endpoints, min_size=1, max_size=2).map(tuple),
    st.just(()) | st.lists(requests, max_size=2).map(tuple),
)


@given(rollouts | nearly_well, st.lists(workers, max_size=2), st.booleans(), instants)
def test_whatever_is_stored_has_a_health_and_it_is_ok_by_fresh_proof_only(
    of: Rollout,
    looking: list[ProbeWorker],
    approved: bool,  # noqa: FBT001 # drawn
    now: datetime,
) -> None:
    found = assess(of, looking, approved=approved, now=now)
    assert found.reason
    assert len(found.conditions) == len(ConditionType)
    assert (found.health is Health.NONE) == (not of.certificate.active)
    if found.health is not Health.OK:
        return
    assert approved
    assert of.certificate.unreadable is None
    assert all(item.is_held for item in of.placements if item.is_wanted)
    if of.certificate.intent.proof != "none":
        due = [item for item in of.endpoints if of.wanted_at(item)]
        assert due
        assert all(of.is_served(item) or (item.in_a_row in {0, 1} and item.proven > 0) for item in due)
        assert not any(is_stale(item, looking, now=now) for item in due)
