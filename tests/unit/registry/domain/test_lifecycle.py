from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.api import CertificateState as S
from registry.domain.errors import ConflictError
from registry.domain.lifecycle import IllegalStepError, Trigger, follow

# Written by hand, so that the table of the code is not its own judge.
STEPS: dict[S, dict[Trigger, S]] = {
    S.REQUESTED: {Trigger.APPROVAL_NEEDED: S.WAITING_FOR_APPROVAL, Trigger.APPROVED: S.APPROVED},
    S.WAITING_FOR_APPROVAL: {Trigger.APPROVED: S.APPROVED, Trigger.DENIED: S.DENIED},
    S.APPROVED: {Trigger.ISSUING_STARTED: S.ISSUING, Trigger.ISSUED: S.ISSUED, Trigger.ISSUING_FAILED: S.FAILING},
    S.ISSUING: {Trigger.ISSUING_STARTED: S.ISSUING, Trigger.ISSUED: S.ISSUED, Trigger.ISSUING_FAILED: S.FAILING},
    S.ISSUED: {Trigger.DELIVERY_ORDERED: S.DELIVERING},
    S.DELIVERING: {
        Trigger.PROVEN: S.LIVE,
        Trigger.RENEWAL_ORDERED: S.RENEWING,
        Trigger.ISSUING_FAILED: S.FAILING,
    },
    S.LIVE: {Trigger.RENEWAL_ORDERED: S.RENEWING, Trigger.ISSUING_FAILED: S.FAILING},
    S.RENEWING: {Trigger.ISSUING_STARTED: S.RENEWING, Trigger.ISSUED: S.ISSUED, Trigger.ISSUING_FAILED: S.FAILING},
    S.FAILING: {
        Trigger.ISSUING_STARTED: S.FAILING,
        Trigger.ISSUED: S.ISSUED,
        Trigger.ISSUING_FAILED: S.FAILING,
        Trigger.RENEWAL_ORDERED: S.RENEWING,
    },
    S.DENIED: {Trigger.ASKED_AGAIN: S.REQUESTED},
    S.REVOKED: {},
    S.RETIRED: {},
}

LEGAL = [(state, trigger, after) for state, steps in STEPS.items() for trigger, after in steps.items()]
ILLEGAL = [(state, trigger) for state, trigger in product(S, Trigger) if trigger not in STEPS[state]]

states = st.sampled_from(S)
histories = st.lists(st.sampled_from(Trigger), max_size=30)


def walk(state: S, triggers: list[Trigger]) -> list[S]:
    """The states on the way; a step that is refused changes nothing."""
    way = [state]
    for trigger in triggers:
        try:
            way.append(follow(way[-1], trigger))
        except IllegalStepError:
            way.append(way[-1])
    return way


@pytest.mark.parametrize(("state", "trigger", "after"), LEGAL)
def test_a_step_of_the_lifecycle_leads_where_it_should(state: S, trigger: Trigger, after: S) -> None:
    assert follow(state, trigger) is after


@pytest.mark.parametrize(("state", "trigger"), ILLEGAL)
def test_every_other_step_is_refused_by_name(state: S, trigger: Trigger) -> None:
    with pytest.raises(IllegalStepError) as refused:
        follow(state, trigger)
    assert isinstance(refused.value, ConflictError)
    assert (refused.value.state, refused.value.trigger) == (state, trigger)
    assert state.value in str(refused.value)
    assert trigger.value in str(refused.value)


@given(histories)
def test_only_being_asked_for_again_leaves_denied(triggers: list[Trigger]) -> None:
    way = walk(S.DENIED, triggers)
    first = next((number for number, state in enumerate(way) if state is not S.DENIED), None)
    assert first is None or (way[first], triggers[first - 1]) == (S.REQUESTED, Trigger.ASKED_AGAIN)


@given(states, histories)
def test_only_proof_leads_to_live(start: S, triggers: list[Trigger]) -> None:
    way = walk(start, triggers)
    for before, trigger, after in zip(way, triggers, way[1:], strict=False):
        assert (after is S.LIVE and before is not S.LIVE) <= (trigger is Trigger.PROVEN)


@given(histories)
def test_nothing_is_issued_before_it_was_approved(triggers: list[Trigger]) -> None:
    way = walk(S.REQUESTED, triggers)
    beyond = set(S) - {S.REQUESTED, S.WAITING_FOR_APPROVAL, S.DENIED}
    first = next((number for number, state in enumerate(way) if state in beyond), None)
    assert first is None or triggers[first - 1] is Trigger.APPROVED


@given(states, histories)
def test_a_denial_reaches_only_what_waits_for_approval(start: S, triggers: list[Trigger]) -> None:
    way = walk(start, triggers)
    for before, after in pairwise(way):
        assert (after is S.DENIED) <= (before in {S.WAITING_FOR_APPROVAL, S.DENIED})
