import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.certificate import Exposure
from certcore.rejection import RejectedError
from registry.domain.approval import Policy, Refusal, check_reason, may_decide, need
from tests.unit.registry.samples import request

people = st.text(min_size=1, max_size=20)


def test_an_internal_name_is_approved_by_policy() -> None:
    found = need(Exposure.INTERNAL)
    assert (found.policy, found.approvers) == (Policy.INTERNAL_BY_POLICY, 0)


def test_a_public_name_needs_a_second_person_and_says_so() -> None:
    found = need(Exposure.PUBLIC)
    assert (found.policy, found.approvers) == (Policy.PUBLIC_BY_SECOND_PERSON, 1)
    assert "other than the requester" in found.reason


def test_every_exposure_has_a_policy() -> None:
    assert {need(exposure).policy for exposure in Exposure} == set(Policy)


def test_a_second_person_may_decide() -> None:
    assert may_decide(request(requester="ana"), person="ben") is None


@given(people)
def test_nobody_decides_on_their_own_request(person: str) -> None:
    assert may_decide(request(requester=person), person=person) is Refusal.OWN_REQUEST


@pytest.mark.parametrize("state", ["approved", "denied"])
@given(person=people)
def test_nobody_decides_twice(state: str, person: str) -> None:
    assert may_decide(request(state), person=person) is Refusal.ALREADY_DECIDED


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


@given(st.text(alphabet=st.characters(), max_size=50))
def test_a_reason_that_passed_can_be_stored_and_sent(reason: str) -> None:
    try:
        check_reason(reason)
    except RejectedError:
        return
    assert "\x00" not in reason
    assert reason.encode().decode() == reason
