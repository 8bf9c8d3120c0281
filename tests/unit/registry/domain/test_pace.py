"""How many renewals are ordered at once, and whose turn is when."""

from collections import Counter
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from certcore.policy.windows import Bounds
from registry.domain.pace import Waiting, admit, hour_of
from tests.unit.registry.samples import NOON

NOW = NOON + timedelta(minutes=20)
HOUR = timedelta(hours=1)


def waiting(number: int, owner: str = "shop") -> list[Waiting]:
    """Those with the higher numbers end first."""
    return [Waiting(NOON - timedelta(minutes=n), f"{owner}-{n}", owner) for n in range(number)]


def bounds(in_all: int, of_team: int = 1000) -> Bounds:
    return Bounds(most_an_hour=in_all, most_an_hour_of_a_team=of_team)


def test_what_ends_first_is_ordered_first_and_the_others_have_their_turns_in_the_next_hours() -> None:
    found = admit(waiting(8), {}, bounds(3), now=NOW)
    assert found.now == ["shop-7", "shop-6", "shop-5"]
    assert [(turn.certificate_id, turn.at) for turn in found.later] == [
        ("shop-4", NOON + HOUR),
        ("shop-3", NOON + HOUR + HOUR / 3),
        ("shop-2", NOON + HOUR + HOUR * 2 / 3),
        ("shop-1", NOON + 2 * HOUR),
        ("shop-0", NOON + 2 * HOUR + HOUR / 3),
    ]
    assert {turn.detail for turn in found.later} == {"at most 3 renewals are ordered in an hour"}


def test_what_was_ordered_in_this_hour_counts() -> None:
    assert admit(waiting(3), {"bank": 2}, bounds(3), now=NOW).now == ["shop-2"]
    assert admit(waiting(3), {"shop": 9}, bounds(20, 10), now=NOW).now == ["shop-2"]


def test_a_team_with_many_leaves_room_for_others() -> None:
    found = admit([*waiting(5), *waiting(1, "bank")], {}, bounds(4, 2), now=NOW)
    assert sorted(found.now) == ["bank-0", "shop-3", "shop-4"]
    assert [turn.detail for turn in found.later] == ["at most 2 renewals of team shop are ordered in an hour"] * 3
    assert [turn.at - NOON for turn in found.later] == [HOUR, HOUR + HOUR / 4, 2 * HOUR]


owners = st.dictionaries(st.sampled_from("abc"), st.integers(0, 12), max_size=3)


@given(owners, owners, st.integers(1, 9), st.integers(1, 9))
def test_no_hour_has_more_than_the_bounds_let_it_have_and_each_gets_a_turn(
    due: dict[str, int], before: dict[str, int], in_all: int, of_team: int
) -> None:
    queue = [item for owner, number in due.items() for item in waiting(number, owner)]
    found = admit(queue, before, bounds(in_all, of_team), now=NOW)
    assert sorted([*found.now, *(turn.certificate_id for turn in found.later)]) == sorted(
        item.certificate_id for item in queue
    )
    hours: Counter[datetime] = Counter()
    teams: Counter[tuple[datetime, str]] = Counter()
    for certificate_id, at in [*((one, NOW) for one in found.now), *((turn[0], turn[1]) for turn in found.later)]:
        assert at >= NOW
        hours[hour_of(at)] += 1
        teams[hour_of(at), certificate_id[0]] += 1
    for hour, number in hours.items():
        assert number + (sum(before.values()) if hour == NOON else 0) <= in_all
    for (hour, owner), number in teams.items():
        assert number + (before.get(owner, 0) if hour == NOON else 0) <= of_team
