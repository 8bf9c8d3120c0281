import json
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, ValidationError

from certcore.certificate import Exposure
from certcore.events import DeploymentOrdered, EndpointObserved, EndpointsExpected, SiteReviewed
from certcore.intent import Intent
from certcore.reading import Items, Open, ReadModel, Unreadable

SECRET = "-----BEGIN PRIVATE KEY-----"


class Colour(StrEnum):
    RED = "red"


class Shelf(ReadModel):
    name: str
    colour: Open[Colour] = Colour.RED
    width: int = 1
    built: AwareDatetime | None = None


class Room(ReadModel):
    shelves: Items[Shelf] = ()
    doors: Items[str] = ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
good_shelves = st.builds(lambda width: {"name": "good", "width": width, "new field": [None]}, st.integers(0, 9))


def test_a_known_word_is_the_enum_s_and_any_other_stays_as_it_is() -> None:
    assert Shelf.model_validate({"name": "a", "colour": "red"}).colour is Colour.RED
    assert Shelf.model_validate({"name": "a", "colour": "mauve"}).colour == "mauve"


def test_an_unknown_word_is_written_as_it_was_read() -> None:
    shelf = Shelf.model_validate({"name": "a", "colour": "mauve"})
    assert Shelf.model_validate_json(shelf.model_dump_json()) == shelf


def test_what_is_no_word_is_refused() -> None:
    with pytest.raises(ValidationError):
        Shelf.model_validate({"name": "a", "colour": 7})


def test_a_bad_item_is_set_aside_and_the_others_are_read_in_their_order() -> None:
    room = Room.model_validate({"shelves": [{"name": "a"}, {"name": "b", "width": "wide"}, 7, {"name": "c"}]})
    assert [shelf.name for shelf in room.shelves] == ["a", "c"]
    assert room.unreadable == (
        Unreadable(item="shelves.1", name="b", problem="width: int_parsing"),
        Unreadable(item="shelves.2", name=None, problem="item: model_type"),
    )


def test_what_can_not_be_read_is_named_and_never_quoted() -> None:
    room = Room.model_validate(
        {"shelves": [{"name": "x" * 100, "width": SECRET, "built": SECRET}], "doors": [[SECRET]]}
    )
    assert [item.name for item in room.unreadable] == ["x" * 64, None]
    assert "PRIVATE" not in repr(room.unreadable)


def test_an_item_that_is_about_a_target_is_named_by_it() -> None:
    order = {"target": {"name": "web", "kind": "files"}, "generation": "high"}
    event = DeploymentOrdered.model_validate({"certificate_id": "c", "name": "n", "placements": [order]})
    assert [(item.item, item.name) for item in event.unreadable] == [("placements.0", "web")]


def test_a_list_inside_an_item_is_read_item_by_item_too() -> None:
    expected = {"url": "https://a", "wanted": [{"revision": 1, "fingerprint_sha256": "f"}, {"revision": "one"}]}
    event = EndpointsExpected.model_validate(
        {"certificate_id": "c", "name": "n", "owner": "o", "generation": 1, "endpoints": [expected]}
    )
    [endpoint] = event.endpoints
    assert [item.revision for item in endpoint.wanted] == [1]
    assert [item.item for item in endpoint.unreadable] == ["wanted.1"]


def test_what_was_set_aside_is_not_written_again() -> None:
    room = Room.model_validate({"doors": ["a", 7]})
    assert json.loads(room.model_dump_json()) == {"shelves": [], "doors": ["a"]}


def test_a_sender_can_not_say_what_was_set_aside() -> None:
    forged = {"unreadable": [{"item": "a", "name": "b", "problem": "c"}]}
    assert Room.model_validate(forged).unreadable == ()
    assert Room.model_validate({"unreadable": 7}).unreadable == ()
    assert Shelf.model_validate({"name": "a"} | forged).unreadable == ()


def test_a_list_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError):
        Room.model_validate({"shelves": {"name": "a"}})


@given(st.lists(json_values | good_shelves, max_size=6))
def test_no_good_item_is_lost_whatever_stands_beside_it(items: list[Any]) -> None:
    room = Room.model_validate_json(json.dumps({"shelves": items}))
    good = [item["width"] for item in items if isinstance(item, dict) and item.get("name") == "good"]
    assert [shelf.width for shelf in room.shelves if shelf.name == "good"] == good
    assert len(room.shelves) + len(room.unreadable) == len(items)


READ = (Intent, DeploymentOrdered, EndpointObserved, EndpointsExpected, SiteReviewed, Room)


@given(st.sampled_from(READ), json_values)
def test_any_json_is_read_or_refused(model: type[ReadModel], value: Any) -> None:
    names = list(model.model_fields)
    for body in (value, dict.fromkeys(names, value), {name: [value] for name in names}):
        try:
            read = model.model_validate_json(json.dumps(body))
        except ValidationError:
            continue
        assert model.model_validate_json(read.model_dump_json()) == read.model_copy(update={"unreadable": ()})


def test_an_exposure_of_a_newer_version_is_kept() -> None:
    assert Intent.model_validate({"name": "a", "exposure": "friends"}).exposure == "friends"
    assert Intent.model_validate({"name": "a", "exposure": "public"}).exposure is Exposure.PUBLIC
