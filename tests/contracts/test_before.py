"""What was published before placements, generations and variants is still read, and its consumers survive what is
published now.

`before/samples.json` holds bodies of every event of that form, by type: with every field set, with only the
required ones, and with each value of each enumeration. They were written by its own models. `before/consumers.py`
is the reading side of those models. Both are frozen: a change of either hides what this is to show.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from certcore.door import RequestDoor
from certcore.events import catalogue
from certcore.targets import FILES, HAPROXY, KUBERNETES, TargetKinds
from certkit.bus import Upgradable
from tests.contracts.before.consumers import EVENTS, PARKED, Event, read
from tests.contracts.today import WRITTEN, written_bodies

_SAMPLES: Final[dict[str, list[dict[str, object]]]] = json.loads(
    (Path(__file__).parent / "before" / "samples.json").read_text()
)
_NOW: Final = catalogue()

READ_TODAY_BY: Final[dict[str, Callable[[bytes], object]]] = {
    # The registry reads requests at its door, with the kinds of targets that are installed.
    "certbus.request.submitted.v1": RequestDoor(TargetKinds([FILES, HAPROXY, KUBERNETES])).read,
}
"""For each type of then that its own model no longer reads: what reads it today."""

_UPGRADED: Final = {name: kind for name, kind in _NOW.items() if hasattr(kind, "upgraded")}


def _samples(types: set[str]) -> list[tuple[str, bytes]]:
    return [(event_type, json.dumps(body).encode()) for event_type in sorted(types) for body in _SAMPLES[event_type]]


def _name(value: str | bytes) -> str:
    # A body is told from its siblings by the number that pytest adds.
    return value if isinstance(value, str) else ""


def test_every_event_has_a_full_and_a_minimal_sample() -> None:
    assert set(_SAMPLES) == set(EVENTS)
    for event_type, bodies in _SAMPLES.items():
        fields = EVENTS[event_type].model_fields
        given = [set(body) for body in bodies]
        assert len(given) >= 2, event_type
        assert set(fields) in given, event_type
        assert {name for name, field in fields.items() if field.is_required()} in given, event_type


@pytest.mark.parametrize(("event_type", "body"), _samples(set(EVENTS)), ids=_name)
def test_the_consumers_of_then_read_their_own_samples(event_type: str, body: bytes) -> None:
    event = read(event_type, body)

    assert isinstance(event, Event)
    assert json.loads(event.model_dump_json(exclude_unset=True)) == json.loads(body)


def test_the_consumers_of_then_park_a_type_that_they_do_not_know() -> None:
    assert read("certbus.certificate.health_changed.v1", b"{}") == PARKED
    assert read("", b"not JSON") == PARKED


@pytest.mark.parametrize(("event_type", "body"), _samples(set(EVENTS) - set(READ_TODAY_BY)), ids=_name)
def test_a_sample_is_read_today(event_type: str, body: bytes) -> None:
    event = _NOW[event_type].model_validate_json(body)

    assert event.type == event_type
    assert event.unreadable == ()


@pytest.mark.parametrize(("event_type", "body"), _samples(set(_UPGRADED)), ids=_name)
def test_a_sample_of_a_replaced_type_becomes_its_successor(event_type: str, body: bytes) -> None:
    before = _NOW[event_type].model_validate_json(body)
    assert isinstance(before, Upgradable)

    after = before.upgraded()

    noun = event_type.rsplit(".", 1)[0]
    assert after.type == f"{noun}.v2"
    assert after == type(after).model_validate_json(after.model_dump_json())


def test_each_type_that_is_read_otherwise_is_read() -> None:
    for event_type, body in _samples(set(READ_TODAY_BY)):
        assert READ_TODAY_BY[event_type](body) is not None, event_type


def _written() -> list[tuple[str, bytes]]:
    return [(event_type, body) for event_type, kind in sorted(WRITTEN.items()) for body in written_bodies(kind)]


def test_every_word_of_what_is_written_today_is_in_a_sample() -> None:
    for event_type, kind in WRITTEN.items():
        written = b"".join(written_bodies(kind)).decode()
        words = _words(kind.model_json_schema()) if event_type in EVENTS else set()
        assert {word for word in words if f'"{word}"' not in written} == set(), event_type


def _words(schema: object) -> set[str]:
    if isinstance(schema, dict):
        own = {word for word in schema.get("enum", []) if isinstance(word, str)}
        return own.union(*(_words(value) for value in schema.values()))
    if isinstance(schema, list):
        return set[str]().union(*(_words(value) for value in schema))
    return set()


@pytest.mark.parametrize(("event_type", "body"), _written(), ids=_name)
def test_the_consumers_of_then_read_or_park_what_is_written_today(event_type: str, body: bytes) -> None:
    event = read(event_type, body)

    if event_type not in EVENTS:
        assert event == PARKED
        return
    assert isinstance(event, Event)
    assert event.type == event_type
    # What they know of it, they read as it was written.
    assert _known_part(json.loads(event.model_dump_json()), json.loads(body))


def _known_part(read_then: object, written: object) -> bool:
    match read_then, written:
        case dict(), dict():
            return all(_known_part(value, written.get(name)) for name, value in read_then.items())
        case list(), list():
            return len(read_then) == len(written) and all(map(_known_part, read_then, written))
    return read_then == written


def test_a_type_of_then_that_is_written_no_more_has_a_successor_that_is() -> None:
    for event_type in set(EVENTS) - set(WRITTEN):
        assert f"{event_type.removesuffix('.v1')}.v2" in WRITTEN
