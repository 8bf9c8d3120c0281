import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbus.event_lines import FollowedEvent, Wanted, event_line, read_event
from certbus.event_stream import Message
from certcore.events import catalogue

_ISSUED = {
    "certificate_id": "c-1",
    "name": "shop",
    "owner": "team-shop",
    "revision": 3,
    "serial": "3f9a",
    "fingerprint_sha256": "ab" * 32,
    "not_after": "2026-05-01T00:00:00Z",
}


def event(kind: str = "certbus.certificate.issued.v1", data: object = None) -> FollowedEvent:
    envelope = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/registry",
        "type": kind,
        "time": "2026-03-01T12:00:00+00:00",
        "subject": "c-1",
        "datacontenttype": "application/json",
        "data": _ISSUED if data is None else data,
    }
    read = read_event(Message("e-1", kind, json.dumps(envelope)))
    assert read is not None
    return read


def test_an_event_is_one_line_of_time_type_certificate_and_what_happened() -> None:
    assert event_line(event()) == (
        "2026-03-01T12:00:00Z  issued                shop  revision 3, serial 3f9a, expires 2026-05-01T00:00:00Z"
    )


def test_an_event_of_a_later_version_is_shown_by_its_fields() -> None:
    line = event_line(event("certbus.certificate.blessed.v2", {"name": "shop", "by": "ana", "deep": {"a": 1}}))
    assert line == "2026-03-01T12:00:00Z  blessed               shop  name=shop by=ana"


def test_data_that_does_not_fit_its_type_is_shown_as_well() -> None:
    assert event_line(event(data={"name": "shop", "revision": "three"})).endswith("name=shop revision=three")


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.integers())), st.text())
def test_no_event_breaks_the_line(data: dict[str, object], kind: str) -> None:
    assert event_line(event(kind, data))


@pytest.mark.parametrize("kind", catalogue())
def test_every_event_of_the_catalogue_has_a_line(kind: str) -> None:
    assert kind.rsplit(".", 2)[1] in event_line(event(kind, {}))


def test_json_keeps_every_attribute() -> None:
    assert json.loads(event().model_dump_json())["datacontenttype"] == "application/json"


@pytest.mark.parametrize("data", ["", "{}", "null", "no json", '{"specversion": "1.0"}'])
def test_what_is_no_event_is_left_out(data: str) -> None:
    assert read_event(Message("1", "message", data)) is None


@pytest.mark.parametrize(
    ("types", "certificate", "taken"),
    [
        ((), None, True),
        (("issued",), None, True),
        (("certbus.certificate.issued.v1", "live"), "shop", True),
        (("live",), None, False),
        ((), "c-1", True),
        ((), "other", False),
    ],
)
def test_only_what_was_asked_for_is_shown(types: tuple[str, ...], certificate: str | None, *, taken: bool) -> None:
    assert Wanted(types=frozenset(types), certificate=certificate).takes(event()) is taken
