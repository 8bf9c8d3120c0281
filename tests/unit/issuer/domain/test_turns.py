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


def begin_all(turns: Turns, *lines: Line) -> list[Line]:
    begun = []
    while (line := turns.next_of(lines)) is not None:
        turns.begun(line)
        begun.append(line)
    return begun


def test_a_single_job_beside_a_burst_is_begun_at_once() -> None:
    turns = Turns(16)
    assert begin_all(turns, SHOP) == [SHOP] * 14
    assert turns.next_of([SHOP, BANK]) == BANK


def test_a_slot_that_became_free_is_given_again() -> None:
    turns = Turns(1)
    turns.begun(SHOP)
    assert (turns.free, turns.next_of([SHOP, BANK])) == (0, None)
    turns.ended(SHOP)
    assert (turns.free, turns.next_of([SHOP, BANK])) == (1, BANK)


def test_a_ca_takes_no_slot_of_another() -> None:
    turns = Turns(4, {"silent": 8, "good": 8})
    silent, good = Line("shop", ca="silent"), Line("shop", ca="good")
    assert begin_all(turns, silent) == [silent] * 7
    assert begin_all(turns, silent, good) == [good] * 7
    assert begin_all(turns, silent, good, SHOP) == [SHOP] * 3


def test_a_ca_that_is_away_is_passed_over() -> None:
    turns = Turns(4, {"silent": 8, "good": 8})
    silent, good = Line("shop", ca="silent"), Line("shop", ca="good")
    away = turns.within({"silent": 0, "good": 8})
    assert away.full() == {"silent"}
    assert begin_all(away, silent, good) == [good] * 7
    probed = turns.within({"silent": 1, "good": 0})
    assert begin_all(probed, silent, good) == [silent]
    # What was planned took nothing.
    assert turns.free == 20


def test_slots_that_are_held_count_when_a_ca_gets_fewer() -> None:
    turns = Turns(1, {"silent": 8})
    turns.begun(Line("shop", ca="silent"))
    probed = turns.within({"silent": 1})
    assert probed.full() == {"silent"}
    assert probed.free == 1


def test_jobs_of_a_ca_that_is_configured_no_more_are_begun_all_the_same() -> None:
    turns = Turns(2, {"good": 1})
    gone = Line("shop", ca="gone")
    assert begin_all(turns, gone) == [gone]
    assert turns.slots_for("gone") == ""


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 40), min_size=1, max_size=40), st.integers(1, 20))
def test_while_two_owners_wait_neither_gets_two_turns_more(waiting: dict[str, int], slots: int) -> None:
    """One slot becomes free after another: whoever waits gets as many turns as anybody else, give or take one."""
    turns, had = Turns(slots), Counter[str]()
    left = dict(waiting)
    while left:
        line = turns.next_of([Line(owner) for owner in left])
        assert line is not None
        turns.begun(line)
        turns.ended(line)
        had[line.owner] += 1
        left[line.owner] -= 1
        assert max(had[owner] for owner in left) - min(had[owner] for owner in left) <= 1
        left = {owner: jobs for owner, jobs in left.items() if jobs}
    assert had == waiting


@given(
    st.dictionaries(
        st.builds(Line, st.sampled_from("abc"), waited=st.booleans()), st.integers(1, 30), min_size=1, max_size=6
    ),
    st.integers(1, 20),
    st.data(),
)
def test_what_waited_and_what_is_new_take_turns_of_their_owner(
    waiting: dict[Line, int], slots: int, data: st.DataObject
) -> None:
    """Whenever a line has a job: of its owner's next two turns it gets one, whatever is added to the others."""
    turns, passed = Turns(slots), Counter[Line]()
    left = dict(waiting)
    for _ in range(60):
        line = turns.next_of(list(left))
        if line is None:
            break
        turns.begun(line)
        turns.ended(line)
        passed[line] = 0
        for other in left:
            if other != line and other.owner == line.owner:
                passed[other] += 1
                assert passed[other] <= 1
        left[line] -= 1
        more = data.draw(st.sampled_from([None, *waiting]))
        if more is not None:
            left[more] = left.get(more, 0) + data.draw(st.integers(1, 5))
        left = {one: jobs for one, jobs in left.items() if jobs}
        passed = Counter({one: times for one, times in passed.items() if one in left})


def test_what_is_urgent_and_waited_goes_before_what_is_neither() -> None:
    lines = [Line("shop", urgent=urgent, waited=waited) for urgent in (True, False) for waited in (True, False)]
    turns = Turns(1)
    begun = []
    for _ in range(4):
        line = turns.next_of(lines)
        assert line is not None
        turns.begun(line)
        turns.ended(line)
        begun.append(line)
    assert begun == [lines[0], lines[1]] * 2
