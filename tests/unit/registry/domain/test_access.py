from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.api import Role
from certcore.errors import PermanentError
from certcore.rejection import RejectedError
from certcore.subjects import Reporter
from certcore.tokens import TokenKind
from registry.domain.access import Principal, check_reporter, owner_for, require, require_person, sees
from registry.domain.errors import ForbiddenError
from tests.unit.registry.samples import spec

role_sets = st.frozensets(st.sampled_from(Role))
wanted_roles = st.lists(st.sampled_from(Role), min_size=1, max_size=4)


def somebody(*roles: Role, owner: str = "shop") -> Principal:
    return Principal("ana", owner, frozenset(roles))


@given(role_sets, wanted_roles)
def test_a_caller_needs_one_of_the_roles(has: frozenset[Role], wanted: list[Role]) -> None:
    if has & set(wanted):
        require(somebody(*has), *wanted)
    else:
        with pytest.raises(ForbiddenError, match="ana needs the role"):
            require(somebody(*has), *wanted)


def test_nobody_passes_without_a_role() -> None:
    for role in Role:
        with pytest.raises(ForbiddenError):
            require(somebody(), role)


def test_only_people_approve() -> None:
    require_person(somebody(Role.APPROVER))
    for kind in set(TokenKind) - {TokenKind.PERSON}:
        with pytest.raises(ForbiddenError, match="only people approve"):
            require_person(replace(somebody(Role.APPROVER), kind=kind))


@pytest.mark.parametrize(("role", "owner"), list(product(Role, ["shop", "somebody-else"])))
def test_everybody_sees_their_own_and_few_see_all(role: Role, owner: str) -> None:
    broad = role in {Role.OPERATOR, Role.APPROVER, Role.AUDITOR}
    assert sees(somebody(role), owner) == (broad or owner == "shop")


@pytest.mark.parametrize("role", Role)
def test_a_request_is_made_for_the_team_that_asks(role: Role) -> None:
    assert owner_for(spec(owner=None), somebody(role)) == "shop"
    assert owner_for(spec(owner="shop"), somebody(role)) == "shop"


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OPERATOR])
def test_only_an_operator_asks_for_another_team(role: Role) -> None:
    with pytest.raises(RejectedError) as refused:
        owner_for(spec(owner="treasury"), somebody(role))
    assert [rejection.field for rejection in refused.value.rejections] == ["owner"]
    assert owner_for(spec(owner="treasury"), somebody(Role.OPERATOR)) == "treasury"


def test_a_token_without_roles_can_t_ask_for_another_team() -> None:
    with pytest.raises(RejectedError):
        owner_for(spec(owner="treasury"), somebody())


def test_a_report_counts_only_from_the_service_and_place_that_it_speaks_for() -> None:
    check_reporter(Reporter("site1", "syncer"), Reporter("site1", "syncer"))
    for other in (Reporter("site2", "syncer"), Reporter("site1", "pusher")):
        with pytest.raises(PermanentError, match="can't report for syncer at site1"):
            check_reporter(other, Reporter("site1", "syncer"))
