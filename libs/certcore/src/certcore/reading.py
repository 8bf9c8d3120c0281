"""Readers are tolerant: what is stored, heard on the bus or answered by an API is read by these models.

Doors are strict, see `certcore.rejection`. A writer may be newer than a reader, so an unknown field is ignored, an
unknown word of an open list is kept as it is, and of a list each item is read by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema

__all__ = ["Items", "Open", "ReadModel", "Unreadable"]

EnumT = TypeVar("EnumT", bound=StrEnum)
ItemT = TypeVar("ItemT")


class _ItemByItem:
    """Marks a field whose items are read one by one."""


_ITEM_BY_ITEM: Final = _ItemByItem()

Open = Annotated[EnumT | str, Field(union_mode="left_to_right")]
"""`Open[Reason]`: a known word becomes the enum's member, any other stays the string that it is."""

Items = Annotated[tuple[ItemT, ...], _ITEM_BY_ITEM]
"""`Items[Target]` in a ReadModel: an item that can't be read is set aside in `unreadable`, the others are read."""


class Unreadable(BaseModel):
    """An item that can't be read. `item` is its place (`targets.3`), `name` and `generation` what it says of itself,
    if anything.

    `problem` names fields and kinds of faults, and never quotes a value.
    """

    model_config = ConfigDict(frozen=True)

    item: str
    name: str | None
    problem: str
    generation: int | None = None


class ReadModel(BaseModel):
    """`unreadable` holds what was set aside of this model's own lists; it is not written again."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    unreadable: SkipJsonSchema[tuple[Unreadable, ...]] = Field(default=(), exclude=True, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _set_aside(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        lists = _lists_of(cls)
        if not lists and "unreadable" not in data:
            return data
        # What a sender calls so is its own affair.
        found = {name: value for name, value in data.items() if name != "unreadable"}
        aside: list[Unreadable] = []
        for name, adapters in lists.items():
            value = found.get(name)
            if isinstance(value, list | tuple):
                found[name] = _readable(name, value, adapters, aside)
        return {**found, "unreadable": tuple(aside)} if aside else found


@dataclass(frozen=True)
class _Adapters:
    whole: TypeAdapter[tuple[Any, ...]]
    item: TypeAdapter[Any]


@cache
def _lists_of(model: type[ReadModel]) -> dict[str, _Adapters]:
    return {
        name: _Adapters(TypeAdapter(field.annotation), TypeAdapter(field.annotation.__args__[0]))
        for name, field in model.model_fields.items()
        if _ITEM_BY_ITEM in field.metadata and field.annotation is not None
    }


def _readable(
    field: str, items: list[Any] | tuple[Any, ...], adapters: _Adapters, aside: list[Unreadable]
) -> tuple[Any, ...]:
    try:
        return adapters.whole.validate_python(items)
    except ValidationError:
        return tuple(_each_readable(field, items, adapters.item, aside))


def _each_readable(
    field: str, items: list[Any] | tuple[Any, ...], adapter: TypeAdapter[Any], aside: list[Unreadable]
) -> Iterator[Any]:
    for number, item in enumerate(items):
        try:
            yield adapter.validate_python(item)
        except ValidationError as error:
            name = _name_of(item)
            faults = [
                f"{'.'.join(map(str, fault['loc'])) or 'item'}: {fault['type']}"
                for fault in error.errors(include_input=False, include_url=False, include_context=False)
            ]
            aside.append(
                Unreadable(
                    item=f"{field}.{number}",
                    name=name[:64] if name else None,
                    problem=", ".join(faults)[:300],
                    generation=_generation_of(item),
                )
            )


def _name_of(item: object) -> str | None:
    if not isinstance(item, dict):
        return None
    name = item.get("name")
    return name if isinstance(name, str) else _name_of(item.get("target"))


def _generation_of(item: object) -> int | None:
    generation = item.get("generation") if isinstance(item, dict) else None
    return generation if isinstance(generation, int) else None
