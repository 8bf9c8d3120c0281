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

from certcore.events import catalogue
from tests.contracts.before.consumers import EVENTS, PARKED, Event, read

_SAMPLES: Final[dict[str, list[dict[str, object]]]] = json.loads(
    (Path(__file__).parent / "before" / "samples.json").read_text()
)
_NOW: Final = catalogue()

READ_TODAY_BY: Final[dict[str, Callable[[bytes], object]]] = {}
"""For each type of then that the catalogue no longer has: what reads it today."""


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


@pytest.mark.parametrize(("event_type", "body"), _samples(set(EVENTS) & set(_NOW)), ids=_name)
def test_a_sample_is_read_today(event_type: str, body: bytes) -> None:
    event = _NOW[event_type].model_validate_json(body)

    assert event.type == event_type


def test_each_type_that_was_replaced_is_read_today() -> None:
    assert set(READ_TODAY_BY) == set(EVENTS) - set(_NOW)
    for event_type, body in _samples(set(READ_TODAY_BY)):
        assert READ_TODAY_BY[event_type](body) is not None, event_type
