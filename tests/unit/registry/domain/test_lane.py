"""A lane keeps the order of each thing's events, gives each owner its turn, and is tried again when it is parked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from registry.domain.lane import Lane, pause_after

WINDOW = 4


@dataclass(frozen=True)
class Event:
    sequence: int
    owner: str = "shop"
    about: str = "c-1"
    repeats: int = 0


def a_lane(*events: Event, window: int = WINDOW) -> Lane[Event]:
    lane: Lane[Event] = Lane(window=window)
    lane.add(events)
    return lane


def taken(lane: Lane[Event], now: float = 0.0) -> list[int]:
    return [event.sequence for event in lane.take(now)]


def each(owner: str, sequences: Iterable[int]) -> Iterator[Event]:
    """An owner's events, each about another certificate."""
    return (Event(sequence, owner, f"{owner}-{sequence}") for sequence in sequences)


def test_of_one_certificate_one_event_is_in_flight_and_of_several_as_many_as_the_window_holds() -> None:
    first = Event(1)
    lane = a_lane(first, Event(2), Event(3, about="c-2"), *each("shop", range(4, 9)))
    assert taken(lane) == [1, 3, 4, 5]
    lane.stored(first)
    assert taken(lane) == [6]


def test_a_burst_of_one_owner_does_not_delay_the_single_event_of_another() -> None:
    lane = a_lane(*each("loud", range(100)))
    assert taken(lane) == [0, 1, 2, 3]
    lane.add([Event(500, "quiet", "c-9")])
    for event in lane.overdue(before=1.0)[:1]:
        lane.stored(event)
    lane.add(each("loud", range(600, 700)))
    for event in lane.overdue(before=1.0)[:1]:
        lane.stored(event)
    assert 500 in taken(lane)


def test_what_failed_comes_first_again_and_parks_the_lane_for_longer_each_time() -> None:
    events = [Event(1), Event(2), Event(3, about="c-2")]
    lane = a_lane(*events)
    assert taken(lane, 0.0) == [1, 3]
    lane.failed(events[0], "full", 0.0)
    lane.failed(events[2], "full", 0.0)
    now = 0.0
    for tries in range(1, 9):
        assert lane.parked is not None
        assert (lane.parked.since, lane.parked.tries) == (0.0, tries)
        assert lane.parked.again_at == now + pause_after(tries)
        assert taken(lane, lane.parked.again_at - 0.01) == []
        now = lane.parked.again_at
        tried = list(lane.take(now))
        assert len(tried) == 1
        lane.failed(tried[0], "full", now)
    assert pause_after(100) <= 10.0
    assert lane.parked is not None
    now = lane.parked.again_at
    lane.stored(next(lane.take(now)))
    assert lane.parked is None
    left = taken(lane, now)
    assert len(left) == 2
    assert 2 not in left or 1 not in left


def test_an_event_that_fails_while_it_is_taken_ends_the_turn() -> None:
    lane, tried = a_lane(*each("shop", range(1, 4))), []
    for now in (0.0, 0.25):
        for event in lane.take(now):
            tried.append(event.sequence)
            assert len(tried) <= 2, "a connection that refuses at once would keep the process busy for ever"
            lane.failed(event, "the bus takes nothing", now)
    assert tried == [1, 2]
    assert lane.parked is not None
    assert lane.parked.tries == 2


def test_a_refused_event_holds_up_its_own_certificate_and_nothing_else() -> None:
    bad, good = Event(1, about="bad"), Event(3, about="good")
    lane = a_lane(bad, Event(2, about="bad"), good)
    assert taken(lane) == [1, 3]
    lane.refused(bad, 0.0)
    lane.stored(good)
    assert lane.parked is None
    lane.add(each("shop", [4]))
    assert taken(lane, 1.0) == [4]
    again = lane.next_look()
    assert again is not None
    assert taken(lane, again) == [1]


def test_an_event_that_was_read_again_before_it_was_marked_is_not_published_again() -> None:
    event = Event(1)
    lane = a_lane(event)
    lane.stored(next(lane.take(0.0)))
    lane.add([event])
    assert taken(lane) == []
    lane.add([Event(1, repeats=1)])
    assert taken(lane) == [1]
    assert lane.known() == {"shop": {(1, 0), (1, 1)}}
    lane.forget([event, Event(1, repeats=1)])
    assert lane.known() == {}


def test_an_answer_that_comes_after_it_was_taken_for_lost_counts() -> None:
    event = Event(1)
    lane = a_lane(event, Event(2))
    list(lane.take(0.0))
    lane.failed(event, "no answer", 5.0)
    lane.stored(event)
    assert taken(lane, 6.0) == [1]
    lane.stored(event)
    lane.stored(event)
    assert taken(lane, 6.0) == [2]


def test_a_second_answer_to_an_event_says_nothing_of_the_next_one() -> None:
    first, second = Event(1), Event(2)
    lane = a_lane(first, second, Event(3))
    assert taken(lane) == [1]
    lane.stored(first)
    assert taken(lane) == [2]
    lane.stored(first)
    lane.failed(first, "late", 0.0)
    lane.refused(first, 0.0)
    assert taken(lane) == []
    assert lane.overdue(before=1.0) == [second]
    assert len(lane) == 2


def test_of_an_event_that_was_committed_late_the_order_is_kept_too() -> None:
    lane = a_lane(Event(5), Event(7))
    lane.add([Event(3, owner="other")])
    order = []
    while found := list(lane.take(0.0)):
        order += [event.sequence for event in found]
        for event in found:
            lane.stored(event)
    assert order == [3, 5, 7]


@given(
    burst=st.integers(1, 60),
    owners=st.integers(1, 6),
    window=st.integers(1, 8),
)
def test_until_its_turn_comes_each_other_owner_has_at_most_one(burst: int, owners: int, window: int) -> None:
    loud = [f"loud-{number}" for number in range(owners)]
    lane = a_lane(
        *(
            event
            for number, owner in enumerate(loud)
            for event in each(owner, range(number * 1000, number * 1000 + burst))
        ),
        window=window,
    )
    flying = list(lane.take(0.0))
    lane.add([Event(9000, "quiet", "c-9")])
    before = 0
    while 9000 not in [event.sequence for event in flying]:
        lane.stored(flying.pop(0))
        found = list(lane.take(0.0))
        before += len([event for event in found if event.sequence != 9000])
        flying += found
    assert before <= owners


class Publishing(RuleBasedStateMachine):
    """Whatever fails, is refused or is read twice: each certificate's events are stored in order, each at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.lane: Lane[Event] = Lane(window=WINDOW)
        self.now = 0.0
        self.added: list[Event] = []
        self.flying: list[Event] = []
        self.stored: dict[str, list[int]] = {}

    @rule(about=st.sampled_from("abcde"), again=st.booleans())
    def add(self, about: str, *, again: bool) -> None:
        event = Event(len(self.added), owner="xyz"[ord(about) % 3], about=about)
        self.added.append(event)
        self.lane.add([event, *(self.added if again else ())])

    @rule(seconds=st.floats(0.0, 30.0))
    def take(self, seconds: float) -> None:
        self.now += seconds
        self.flying += self.lane.take(self.now)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), outcome=st.sampled_from(["stored", "failed", "refused"]))
    def answer(self, data: st.DataObject, outcome: str) -> None:
        event = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        match outcome:
            case "stored":
                self._store(event)
            case "failed":
                self.lane.failed(event, "down", self.now)
            case "refused":
                self.lane.refused(event, self.now)

    def _store(self, event: Event) -> None:
        self.lane.stored(event)
        self.stored.setdefault(event.about, []).append(event.sequence)

    @invariant()
    def one_of_each_is_in_flight(self) -> None:
        things = [event.about for event in self.flying]
        assert len(things) == len(set(things)) <= WINDOW
        assert self.lane.in_flight == len(things)

    @invariant()
    def each_is_stored_in_order_and_once(self) -> None:
        for sequences in self.stored.values():
            assert sequences == sorted(set(sequences))

    def teardown(self) -> None:
        for _ in range(len(self.added) + 200):
            for event in self.flying:
                self._store(event)
            self.now += 100.0
            self.flying = list(self.lane.take(self.now))
        assert sum(map(len, self.stored.values())) == len(self.added)
        assert len(self.lane) == 0


TestPublishing = Publishing.TestCase
