"""What somebody may do whom a provider signed in, by the policy of the moment and their groups."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from certcore.api import Role
from certcore.policy.document import Policy
from certcore.policy.roles import HeldRole
from certcore.rejection import RejectedError
from certcore.tokens import TokenKind
from registry.domain.access import (
    Principal,
    acts_for,
    approves_for,
    belongs_to,
    owner_for,
    owner_listed,
    require,
    require_everywhere,
    sees,
)
from registry.domain.approval import groups_of
from registry.domain.entitlement import entitled
from registry.domain.errors import ForbiddenError, NotFoundError
from tests.unit.registry.samples import spec

POLICY = Policy.model_validate(
    {
        "version": 1,
        "groups": {"security": ["eve"], "bankers": []},
        "teams": {"shop": {}, "bank": {"groups": ["bankers"]}, "press": {}},
        "roles": [
            {"group": "shop-people", "roles": ["viewer", "requester"], "teams": ["shop"]},
            {"group": "bank-people", "roles": ["requester"], "teams": ["bank"]},
            {"group": "reviewers", "roles": ["approver", "auditor"], "teams": ["shop", "bank"]},
            {"group": "askers", "roles": ["requester"], "teams": "all"},
            {"group": "watchers", "roles": ["viewer"], "teams": "all"},
            {"group": "pki", "roles": ["operator", "auditor", "admin"], "teams": "all"},
            {"group": "bank-ops", "roles": ["operator"], "teams": ["bank"]},
            {"group": "security", "roles": ["approver"], "teams": ["press"]},
        ],
    }
)


def person(*groups: str, **changes: Any) -> Principal:
    stored = Principal("u-1", "", frozenset(), issuer="https://id.example.test", groups=frozenset(groups))
    return entitled(replace(stored, **changes), POLICY)


def test_who_is_in_no_group_of_the_policy_may_nothing_and_reads_which_groups_were_seen() -> None:
    for nobody in (person(), person("Shop-People", "SHOP-PEOPLE"), entitled(person("pki"), None)):
        assert nobody.roles == frozenset()
        assert nobody.owner == ""
        assert owner_listed(nobody, None) == frozenset()
        for role in Role:
            with pytest.raises(ForbiddenError, match="needs the role"):
                require(nobody, role)
    with pytest.raises(ForbiddenError, match="the provider told these groups, which policy gives too little: a, b"):
        require(person("b", "a"), Role.VIEWER)
    with pytest.raises(ForbiddenError, match="too little: none"):
        require(person(), Role.VIEWER)


def test_a_role_that_was_stored_with_a_session_gives_nothing() -> None:
    forged = person("shop-people", roles=frozenset(Role), held=frozenset({HeldRole("admin", None)}), owner="bank")
    assert forged.roles == {Role.VIEWER, Role.REQUESTER}
    assert forged.owner == "shop"


@pytest.mark.parametrize(
    ("groups", "seen", "asked_for", "approved_for"),
    [
        (["shop-people"], {"shop"}, {"shop"}, set()),
        (["shop-people", "bank-people"], {"shop", "bank"}, {"shop", "bank"}, set()),
        (["reviewers"], {"shop", "bank"}, set(), {"shop", "bank"}),
        (["watchers", "bank-people"], {"shop", "bank", "press"}, {"bank"}, set()),
        (["askers"], {"shop", "bank", "press"}, {"shop", "bank", "press"}, set()),
        (["pki"], {"shop", "bank", "press"}, {"shop", "bank", "press"}, set()),
        (["bank-ops"], {"bank"}, {"bank"}, set()),
        (["security"], {"press"}, set(), {"press"}),
    ],
)
def test_a_role_holds_for_its_teams_alone(
    groups: list[str], seen: set[str], asked_for: set[str], approved_for: set[str]
) -> None:
    who = person(*groups)
    for team in ("shop", "bank", "press"):
        assert sees(who, team) == (team in seen)
        assert acts_for(who, team) == (team in asked_for)
        assert approves_for(who, team) == (team in approved_for)
        if team in seen:
            assert owner_listed(who, team) == frozenset({team})
        else:
            with pytest.raises(NotFoundError):
                owner_listed(who, team)
    everything = {"shop", "bank", "press"} == seen
    assert owner_listed(who, None) == (None if everything else frozenset(seen))


def test_what_is_no_team_s_own_needs_the_role_for_all() -> None:
    for role in (Role.OPERATOR, Role.AUDITOR, Role.ADMIN):
        require_everywhere(person("pki"), role)
        require_everywhere(Principal("tok", "shop", frozenset({role})), role)
    for group, role in (("bank-ops", Role.OPERATOR), ("reviewers", Role.AUDITOR)):
        require(person(group), role)
        with pytest.raises(ForbiddenError, match="for all teams"):
            require_everywhere(person(group), role)


def test_who_asks_for_several_teams_says_for_which() -> None:
    both = person("shop-people", "bank-people")
    assert (owner_for(spec(owner="bank"), both), owner_for(spec(owner="shop"), both)) == ("bank", "shop")
    assert owner_for(spec(owner=None), person("shop-people")) == "shop"
    assert owner_for(spec(owner="press"), person("pki")) == "press"
    for who, owner, message in (
        (both, None, "must be one of bank, shop"),
        (both, "press", "must be one of bank, shop"),
        (person("askers"), None, "must be given"),
        (person("reviewers"), "shop", "you are a requester for no team"),
        (person("shop-people"), "bank", "must be left out or be shop"),
    ):
        with pytest.raises(RejectedError, match=message):
            owner_for(spec(owner=owner), who)


def test_people_belong_to_the_teams_of_their_groups_and_to_those_that_they_ask_for() -> None:
    for team, groups in product(("shop", "bank"), (["bankers"], ["bank-people"], ["reviewers"], ["askers"])):
        assert belongs_to(person(*groups), team) == (team == "bank" and groups in (["bankers"], ["bank-people"]))
    both = person("bankers", "shop-people")
    assert [belongs_to(both, team) for team in ("shop", "bank", "press")] == [True, True, False]
    assert both.owner == ""
    # A group of the policy is held by who is listed, and by whom the provider says to be in it.
    assert groups_of(POLICY, person("bankers"), owner="bank") == {"bankers", "own-team"}
    assert groups_of(POLICY, person("bankers"), owner="shop") == {"bankers"}
    assert groups_of(POLICY, person(subject="eve"), owner="shop") == {"security"}
    assert approves_for(person(subject="eve"), "press")


def test_an_open_page_only_looks() -> None:
    page = person("pki", "shop-people", kind=TokenKind.SESSION)
    assert page.roles == {Role.VIEWER, Role.AUDITOR}
    assert sees(page, "press")
    reviewer = person("reviewers", kind=TokenKind.SESSION)
    assert reviewer.roles == {Role.VIEWER, Role.AUDITOR}
    assert owner_listed(reviewer, None) == frozenset({"shop", "bank"})
    assert not acts_for(page, "shop")
    assert not approves_for(reviewer, "shop")
