"""Bodies of every event that is written today, built by its own model: full ones and the smallest.

The full ones differ in their words: together they hold each value of each enumeration.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel

from certcore.events import RequestSubmitted, before, catalogue
from certcore.events.event import Event

__all__ = ["WRITTEN", "written_bodies"]

WRITTEN: Final = {name: kind for name, kind in catalogue().items() if kind.__module__ != before.__name__}
"""Every event that something writes, by its type."""

_INSTANT: Final = datetime(2026, 11, 20, 9, tzinfo=UTC).isoformat()
_MOST_WORDS: Final = 16
_REQUEST: Final[dict[str, Any]] = {
    "name": "shop-checkout",
    "dns_names": ["shop.example.org"],
    "exposure": "internal",
    "targets": [{"kind": "files", "name": "web", "site": "fra1"}],
    "endpoints": [{"url": "https://shop.example.org"}],
}


def written_bodies(kind: type[Event]) -> list[bytes]:
    """As the model writes them, each once."""
    if kind is RequestSubmitted:
        # The door's own fields refuse what is made up; the targets of each kind are the registry's to check.
        targets = [{"kind": "any", "name": "web", "site": "fra1"}]
        return [kind.model_validate(_REQUEST | {"targets": targets}).model_dump_json().encode()]
    samples = [_full(kind, turn) for turn in range(_MOST_WORDS)]
    samples.append({name: value for name, value in samples[0].items() if kind.model_fields[name].is_required()})
    return list(dict.fromkeys(kind.model_validate(sample).model_dump_json().encode() for sample in samples))


def _full(model: type[BaseModel], turn: int) -> dict[str, Any]:
    return {
        name: _value(field.annotation, turn) for name, field in model.model_fields.items() if name != "unreadable"
    }


_PLAIN: Final[dict[object, Any]] = {
    str: "text",
    int: 2,
    float: 60.0,
    bool: True,
    AwareDatetime: _INSTANT,
    Any: "text",
}


def _value(annotation: Any, turn: int) -> Any:
    """One value of a field's type; of an enumeration the one whose turn it is."""
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    arguments, origin = get_args(annotation), get_origin(annotation)
    if origin in {Annotated, Union, UnionType}:
        return _value(_best(arguments if origin is not Annotated else arguments[:1]), turn)
    if origin is not None:
        return {"tier": "gold"} if origin is dict else [_value(arguments[0], turn)]
    if issubclass(annotation, StrEnum):
        return list(annotation)[turn % len(annotation)]
    return _full(annotation, turn)


def _best(arguments: tuple[Any, ...]) -> Any:
    """Of what a field may be, the most telling: an enumeration before text, anything before nothing."""
    return next(iter(_ranked(arguments)))


def _ranked(arguments: tuple[Any, ...]) -> Iterator[Any]:
    yield from (item for item in arguments if isinstance(item, type) and issubclass(item, StrEnum | BaseModel))
    yield from (item for item in arguments if item is not type(None))
