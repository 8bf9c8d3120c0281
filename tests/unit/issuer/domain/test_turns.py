from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from issuer.domain.turns import Line, Turns, most_of_one_owner, whose_turn

SHOP, BANK = Line("shop"), Line("bank")


def test_who_holds_fewer_slots_is_next() -> None:
    assert whose_turn([SHOP, BANK], held={"shop": 1}, served={}, most=8) == BANK
    assert whose_turn([SHOP, BANK], held={"shop": 1, "bank": 2}, served={}, most=8) == SHOP


def test_among_equals_the_one_is_next_whose_turn_is_longest_ago() -> None:
    assert whose_turn([SHOP, BANK], held={}, served={"bank": 2, "shop": 1}, most=8) == SHOP
    assert whose_turn([SHOP, BANK], held={}, served={"bank": 2}, most=8) == SHOP


def test_what_is_urgent_goes_before_the_rest_of_its_owner_only() -> None:
    urgent = Line("shop", urgent=True)
    assert whose_turn([SHOP, urgent], held={}, served={}, most=8) == urgent
    assert whose_turn([SHOP, urgent, BANK], held={"shop": 1}, served={}, most=8) == BANK


def test_no_owner_holds_every_slot() -> None:
    assert whose_turn([SHOP], held={"shop": 7}, served={}, most=7) is None
    assert [most_of_one_owner(slots) for slots in (1, 2, 4, 16, 64)] == [1, 1, 3, 14, 56]


def test_a_single_job_beside_a_burst_is_begun_at_once() -> None:
    turns = Turns(16)
    begun = []
    while (line := turns.next_of([SHOP])) is not None:
        turns.begun(line.owner)
        begun.append(line)
    assert begun == [SHOP] * 14
    assert turns.next_of([SHOP, BANK]) == BANK


def test_a_slot_that_became_free_is_given_again() -> None:
    turns = Turns(1)
    turns.begun("shop")
    assert (turns.free, turns.next_of([SHOP, BANK])) == (0, None)
    turns.ended("shop")
    assert (turns.free, turns.next_of([SHOP, BANK])) == (1, BANK)


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 40), min_size=1, max_size=40), st.integers(1, 20))
def test_while_two_owners_wait_neither_gets_two_turns_more(waiting: dict[str, int], slots: int) -> None:
    """One slot becomes free after another: whoever waits gets as many turns as anybody else, give or take one."""
    turns, had = Turns(slots), Counter[str]()
    left = dict(waiting)
    while left:
        line = turns.next_of([Line(owner) for owner in left])
        assert line is not None
        turns.begun(line.owner)
        turns.ended(line.owner)
        had[line.owner] += 1
        left[line.owner] -= 1
        assert max(had[owner] for owner in left) - min(had[owner] for owner in left) <= 1
        left = {owner: jobs for owner, jobs in left.items() if jobs}
    assert had == waiting
