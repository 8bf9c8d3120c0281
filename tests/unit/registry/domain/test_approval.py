from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from certcore.policy.document import ApprovalsNeeded, Policy
from certcore.policy.quorum import Approver
from certcore.rejection import RejectedError
from registry.domain.access import Principal
from registry.domain.approval import Decider, Refusal, check_reason, groups_of, may_decide
from registry.domain.certificate import Request
from registry.domain.terms import Terms
from tests.unit.registry.samples import OWNER, request

people = st.text(min_size=1, max_size=20)


def decides(
    person: str = "ben",
    team: str = "security",
    *,
    of: Request | None = None,
    groups: Collection[str] = (),
    asked: bool = False,
    voted: bool = False,
    given: Sequence[Approver] = (),
) -> Refusal | None:
    decider = Decider(Approver(person, frozenset(groups)), of_owner=team == OWNER, asked=asked, voted=voted)
    return may_decide(of or request(requester="ana"), decider, given=given)


def test_a_second_person_may_decide() -> None:
    assert decides() is None


@any_of(people)
def test_nobody_decides_on_their_own_request(person: str) -> None:
    assert decides(person, of=request(requester=person)) is Refusal.OWN_REQUEST


def test_nobody_approves_twice_under_two_names() -> None:
    assert decides(voted=True) is Refusal.ALREADY_APPROVED


def test_nobody_decides_who_may_be_the_requester_under_another_name() -> None:
    assert decides(asked=True) is Refusal.OWN_REQUEST


@pytest.mark.parametrize("state", ["approved", "denied", "expired"])
@any_of(person=people)
def test_nobody_decides_twice(state: str, person: str) -> None:
    assert decides(person, of=request(state)) is Refusal.ALREADY_DECIDED


def test_nobody_decides_on_what_a_workload_of_the_own_team_asked() -> None:
    asked = replace(request(requester="bus-shop"), by_workload=True)
    assert decides(team=OWNER, of=asked) is Refusal.OWN_WORKLOAD
    assert decides(team="bank", of=asked) is None
    assert decides(team=OWNER) is None


def test_nobody_approves_twice() -> None:
    assert decides(given=[Approver("ben")]) is Refusal.ALREADY_APPROVED


def test_only_the_groups_that_policy_asks_decide() -> None:
    terms = Terms(policy="d", rules=("r",), needed=(ApprovalsNeeded(group="security"),))
    asked = replace(request(), terms=terms)
    assert decides(of=asked) is Refusal.NOT_ASKED
    assert decides(of=asked, groups=["network"]) is Refusal.NOT_ASKED
    assert decides(of=asked, groups=["security"]) is None


def test_a_person_is_in_the_groups_of_the_policy_and_in_the_own_team_s() -> None:
    policy = Policy.model_validate(
        {
            "version": 1,
            "groups": {"security": ["eve"], "shop-people": ["ben"]},
            "teams": {"shop": {"groups": ["shop-people"]}},
        }
    )
    groups = {
        subject: groups_of(policy, Principal(subject, team, frozenset()), owner="shop")
        for subject, team in (("eve", "bank"), ("ben", "bank"), ("ana", "shop"), ("dan", "bank"))
    }
    assert groups == {
        "eve": frozenset({"security"}),
        "ben": frozenset({"shop-people", "own-team"}),
        "ana": frozenset({"own-team"}),
        "dan": frozenset(),
    }
    assert groups_of(None, Principal("eve", "shop", frozenset()), owner="shop") == frozenset()


@pytest.mark.parametrize("reason", ["", "as agreed", "two\nlines\tand a tab", "für Ana 🎉", "x" * 2000])
def test_what_people_write_is_a_reason(reason: str) -> None:
    check_reason(reason)


@pytest.mark.parametrize(
    "reason",
    ["x" * 2001, "\x00", "\x1b[31mred", "\r", "\x85", "\ud800", "-----BEGIN EC PRIVATE KEY-----"],
)
def test_what_can_t_be_kept_or_shown_is_no_reason(reason: str) -> None:
    with pytest.raises(RejectedError) as refused:
        check_reason(reason)
    assert [rejection.field for rejection in refused.value.rejections] == ["reason"]


@any_of(st.text(alphabet=st.characters(), max_size=50))
def test_a_reason_that_passed_can_be_stored_and_sent(reason: str) -> None:
    try:
        check_reason(reason)
    except RejectedError:
        return
    assert "\x00" not in reason
    assert reason.encode().decode() == reason
