"""Whoever follows the log passes no event by, whatever the order in which writers commit."""

import random
from dataclasses import dataclass, field

import pytest

from registry.domain.settled import Settled, Snapshot

QUIET = Snapshot(9, 9)


def test_where_nobody_writes_all_that_is_there_is_settled() -> None:
    assert Settled().looked([7], QUIET) == Settled(7)
    assert Settled(7).looked([9, 12], QUIET) == Settled(12)
    assert Settled(7, (9, 12)).looked([9, 12], QUIET) == Settled(12)


def test_where_nothing_is_found_nothing_changes() -> None:
    for settled in (Settled(), Settled(7), Settled(7, (9, 12))):
        assert not settled.passes_some_by([])
        assert settled.looked([], None) == settled


def test_without_a_gap_it_waits_for_nobody() -> None:
    assert not Settled(7).passes_some_by([8, 9])
    assert Settled(7).looked([8, 9], None) == Settled(9)
    assert Settled(7).passes_some_by([8, 10])
    assert Settled().passes_some_by([1])


def test_before_a_gap_it_waits_for_all_who_may_fill_it() -> None:
    seen = Settled(7).looked([8, 10, 11], Snapshot(3, 9))
    assert seen == Settled(8, (11, 9))
    # Those that began later drew later numbers: nobody waits for them.
    assert seen.looked([10, 11, 14], Snapshot(8, 20)) == Settled(8, (11, 9))
    assert seen.looked([10, 11, 14], Snapshot(9, 20)) == Settled(11, (14, 20))


def test_a_gap_that_is_filled_is_none() -> None:
    assert Settled(8, (11, 9)).looked([9, 10, 11], Snapshot(8, 20)) == Settled(11)


def test_where_it_begins_among_writers_it_waits_for_them() -> None:
    begun = Settled().looked([11], Snapshot(3, 9))
    assert begun == Settled(None, (11, 9))
    assert begun.looked([15], Snapshot(9, 12)) == Settled(11, (15, 12))


def test_a_look_that_finds_a_part_settles_no_more_than_that() -> None:
    # The gap was filled: so many are found, and the rest is behind.
    assert Settled(8, (11, 9)).looked([9, 10], Snapshot(9, 12)) == Settled(10, (11, 9))


@dataclass
class Log:
    """As PostgreSQL keeps it: numbers are drawn at once, rows are seen when they are committed."""

    drawn: int = 0
    begun: int = 1
    ended: int = 0
    rows: set[int] = field(default_factory=set)
    open: dict[int, list[int]] = field(default_factory=dict)

    def end(self, number: int) -> list[int]:
        self.ended = max(self.ended, number)
        return self.open.pop(number)

    def look(self, settled: Settled, most: int) -> tuple[list[int], Settled]:
        found = sorted(row for row in self.rows if row > (settled.until or 0))[:most]
        if not settled.passes_some_by(found):
            after = settled.looked(found, None)
        else:
            # What began after the last that ended is not told.
            oldest = min((number for number in self.open if number <= self.ended), default=self.ended + 1)
            after = settled.looked(found, Snapshot(oldest, self.begun))
            self.ended, self.begun = self.begun, self.begun + 1
        return [row for row in found if row <= (after.until or 0)], after


@pytest.mark.parametrize("seed", range(40))
def test_in_any_order_of_commits_each_event_is_given_once_and_in_its_order(seed: int) -> None:
    chance, log, settled = random.Random(seed), Log(), Settled(0)
    given: list[int] = []
    for step in range(400):
        last = step > 380
        if not last and chance.random() < 0.4:
            log.open[log.begun] = []
            log.begun += 1
        if log.open and not last and chance.random() < 0.7:
            log.drawn += 1
            log.open[chance.choice(sorted(log.open))].append(log.drawn)
        if log.open and (last or chance.random() < 0.35):
            numbers = log.end(chance.choice(sorted(log.open)))
            # One in five is rolled back: its numbers stay empty.
            log.rows |= set(numbers) if chance.random() < 0.8 else set()
        if last or chance.random() < 0.5:
            told, settled = log.look(settled, chance.choice([2, 5, 100]))
            given += told
    for number in sorted(log.open):
        log.end(number)
    for _ in range(200):
        told, settled = log.look(settled, 3)
        given += told
    assert given == sorted(log.rows)
