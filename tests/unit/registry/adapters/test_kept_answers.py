from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import create_engine

from registry.adapters import tables
from registry.adapters.store.kept_answers import KeptAnswers
from registry.domain.access import Principal
from registry.domain.keyed import Answer, KeyedCall
from tests.unit.registry.samples import NOON


@pytest.fixture
def kept() -> Iterator[KeptAnswers]:
    with create_engine("sqlite://").begin() as connection:
        tables.kept_answer.create(connection)
        yield KeptAnswers(connection)


def call(subject: str, key: str) -> KeyedCall:
    caller = Principal(subject, "shop", frozenset())
    return KeyedCall.of(caller, method="POST", path="/", query=b"", body=b"", key=key)


def known(kept: KeptAnswers, subject: str, *, since: int = 0) -> list[int]:
    instant = NOON + timedelta(minutes=since)
    return [number for number in range(5) if kept.find(call(subject, f"k{number}"), since=instant)]


def fill(kept: KeptAnswers, subject: str, count: int) -> None:
    for number in range(count):
        answer = Answer(202, f"{subject} {number}", "/there")
        kept.keep(call(subject, f"k{number}"), answer, now=NOON + timedelta(minutes=number), most=3)


def test_the_newest_of_each_principal_are_kept(kept: KeptAnswers) -> None:
    fill(kept, "ana", 5)
    fill(kept, "ben", 2)
    assert (known(kept, "ana"), known(kept, "ben")) == ([2, 3, 4], [0, 1])
    found = kept.find(call("ana", "k3"), since=NOON)
    assert found is not None
    assert found.answer == Answer(202, "ana 3", "/there")


def test_what_is_too_old_is_not_found_and_gives_its_place_to_a_new_answer(kept: KeptAnswers) -> None:
    fill(kept, "ana", 3)
    assert known(kept, "ana", since=2) == [2]
    kept.keep(call("ana", "k0"), Answer(200, "anew"), now=NOON + timedelta(minutes=9), most=3)
    assert known(kept, "ana", since=2) == [0, 2]


def test_old_answers_are_pruned_in_parts(kept: KeptAnswers) -> None:
    fill(kept, "ana", 3)
    fill(kept, "ben", 2)
    before = NOON + timedelta(minutes=2)
    assert [kept.prune(before, 3), kept.prune(before, 3), kept.prune(before, 3)] == [3, 1, 0]
    assert (known(kept, "ana"), known(kept, "ben")) == ([2], [])
