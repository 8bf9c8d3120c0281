"""Which changes of rights wait for a second admin, and what becomes of them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from certcore.api import Role
from certcore.policy.second_admin import SecondAdmin
from certcore.tokens import RightsAct, RightsState
from registry.domain.errors import ConflictError, ForbiddenError
from registry.domain.rights_change import RightsChange, check_taken, confirmed, done, refused, waits
from tests.unit.registry.samples import NOON

CHANGE = RightsChange(
    id="change",
    act=RightsAct.MAKE,
    subject="carol",
    roles=("operator",),
    asked_by="alice",
    issuer="registry",
    created_at=NOON,
    expires_at=NOON + timedelta(days=3),
)


@pytest.mark.parametrize("act", RightsAct)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("revoking", [True, False])
def test_what_gives_or_takes_a_role_that_policy_names_waits(
    act: RightsAct, role: Role, *, own: bool, revoking: bool
) -> None:
    policy = SecondAdmin.model_validate({"roles": ["operator", "admin"], "revoking": revoking})
    wanted = role in {Role.OPERATOR, Role.ADMIN} and not own and (act is not RightsAct.REVOKE or revoking)
    assert waits(policy, act, {Role.VIEWER, role}, own=own) is wanted
    assert not waits(None, act, {role}, own=own)


def test_a_second_person_confirms_and_who_asked_takes() -> None:
    agreed = confirmed(CHANGE, by="bob", asked=False, is_for=False, now=NOON)
    assert (agreed.state, agreed.decided_by, agreed.decided_at) == (RightsState.CONFIRMED, "bob", NOON)
    check_taken(agreed, subject="alice", issuer="registry", now=NOON)
    for subject, issuer in (("bob", "registry"), ("alice", "https://id.example.test")):
        with pytest.raises(ForbiddenError, match="who asked for it"):
            check_taken(agreed, subject=subject, issuer=issuer, now=NOON)
    with pytest.raises(ConflictError, match="is done"):
        check_taken(done(agreed, made_id="t"), subject="alice", issuer="registry", now=NOON)


@pytest.mark.parametrize(("asked", "is_for", "why"), [(True, False, "who asked"), (False, True, "whom it is for")])
def test_one_person_is_no_second_admin(*, asked: bool, is_for: bool, why: str) -> None:
    with pytest.raises(ForbiddenError, match=why):
        confirmed(CHANGE, by="alice", asked=asked, is_for=is_for, now=NOON)


@pytest.mark.parametrize("state", [state for state in RightsState if state is not RightsState.WAITING])
def test_what_is_decided_is_decided(state: RightsState) -> None:
    with pytest.raises(ConflictError, match=f"is {state}"):
        confirmed(replace(CHANGE, state=state), by="bob", asked=False, is_for=False, now=NOON)
    with pytest.raises(ConflictError, match=f"is {state}"):
        refused(replace(CHANGE, state=state), by="bob", reason="no", now=NOON)


@pytest.mark.parametrize("state", RightsState)
def test_what_waits_too_long_has_expired_whatever_a_round_has_noted(state: RightsState) -> None:
    change, late = replace(CHANGE, state=state), CHANGE.expires_at
    open_ = state in {RightsState.WAITING, RightsState.CONFIRMED}
    assert change.state_at(late - timedelta(seconds=1)) is state
    assert change.state_at(late) is (RightsState.EXPIRED if open_ else state)
    with pytest.raises(ConflictError):
        confirmed(change, by="bob", asked=False, is_for=False, now=late)
    with pytest.raises(ConflictError):
        check_taken(change, subject="alice", issuer="registry", now=late)


def test_who_asked_may_take_it_back() -> None:
    assert refused(CHANGE, by="alice", reason="", now=NOON).state is RightsState.REFUSED
