from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from certcore.policy.document import ApprovalsNeeded
from certcore.policy.quorum import Approver, missing, needed_text

GROUPS = ("security", "network", None)


def who(person: str, *groups: str) -> Approver:
    return Approver(person, frozenset(groups))


def need(**counts: int) -> tuple[ApprovalsNeeded, ...]:
    return tuple(ApprovalsNeeded(group=group, count=count) for group, count in counts.items())


def test_each_person_counts_once_for_one_group() -> None:
    both = need(security=1, network=1)
    assert missing(both, [who("eve", "security", "network")]) == need(network=1)
    assert missing(both, [who("eve", "security", "network"), who("nat", "network")]) == ()


def test_who_fits_two_groups_makes_room_for_who_fits_one() -> None:
    assert missing(need(security=1, network=1), [who("eve", "security", "network"), who("dan", "security")]) == ()


def test_without_a_group_anybody_counts() -> None:
    assert missing([ApprovalsNeeded(count=2)], [who("eve")]) == (ApprovalsNeeded(count=1),)
    assert needed_text([ApprovalsNeeded(group="security"), ApprovalsNeeded(count=2)]) == (
        "1 of security and 2 approvers"
    )


@given(
    st.lists(st.sampled_from(GROUPS), min_size=1, max_size=4, unique=True).flatmap(
        lambda groups: st.tuples(
            *(st.builds(ApprovalsNeeded, group=st.just(g), count=st.integers(1, 2)) for g in groups)
        )
    ),
    st.lists(st.frozensets(st.sampled_from(["security", "network"])), max_size=4),
)
def test_as_many_seats_are_taken_as_any_seating_could_take(
    needed: tuple[ApprovalsNeeded, ...], people: list[frozenset[str]]
) -> None:
    seats = [item.group for item in needed for _ in range(item.count)]
    given_ = [Approver(str(number), groups) for number, groups in enumerate(people)]
    size = max(len(seats), len(people))
    most = max(
        sum(
            1
            for seat, person in zip(seats, order, strict=False)
            if person < len(people) and (seat is None or seat in people[person])
        )
        for order in permutations(range(size), len(seats))
    )
    assert sum(item.count for item in missing(needed, given_)) == len(seats) - most
