"""One line for each event that `certbus event follow` shows."""

import re
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue, ValidationError

from certbus.event_stories import story
from certbus.event_stream import Message
from certbus.time_spans import instant
from certcore import events

__all__ = ["FollowedEvent", "Wanted", "event_line", "read_event", "shown_type"]

_CATALOGUE: Final = events.catalogue()
_VERSION: Final = re.compile(r"\.v[0-9]+$")


class FollowedEvent(BaseModel):
    """A CloudEvent in structured mode; extension attributes are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    specversion: str
    id: str
    source: str
    type: str
    time: AwareDatetime
    subject: str | None = None
    data: dict[str, JsonValue] = {}


class Wanted(BaseModel):
    """Which events are shown; what is None, or empty, leaves nothing out."""

    model_config = ConfigDict(frozen=True)

    types: frozenset[str] = frozenset()
    certificate: str | None = None

    def takes(self, event: FollowedEvent) -> bool:
        """A type is named in full, as it is shown, or by its last word, a certificate by its name or id."""
        names = {event.type, shown_type(event.type), event.type.removesuffix(_version(event.type)).rpartition(".")[2]}
        of_type = not self.types or not self.types.isdisjoint(names)
        return of_type and self.certificate in {None, *_about(event)}


def shown_type(event_type: str) -> str:
    """`issued` for `certbus.certificate.issued.v1`, `csr.expired` for `certbus.csr.expired.v1`.

    A type that this version doesn't know is shown in full.
    """
    if event_type not in _CATALOGUE:
        return event_type
    return event_type.removesuffix(_version(event_type)).removeprefix("certbus.").removeprefix("certificate.")


def _version(event_type: str) -> str:
    found = _VERSION.search(event_type)
    return found[0] if found else ""


def read_event(message: Message) -> FollowedEvent | None:
    """None where the message is no CloudEvent: a later registry may send other things on the same stream."""
    try:
        return FollowedEvent.model_validate_json(message.data)
    except ValidationError:
        return None


def event_line(event: FollowedEvent) -> str:
    """Time, type, certificate, and what happened."""
    name = event.data.get("name") or event.data.get("certificate_name") or event.data.get("certificate_id") or "-"
    return f"{instant(event.time)}  {shown_type(event.type):<20}  {name}  {_what(event)}".rstrip()


def _about(event: FollowedEvent) -> set[str]:
    keys = ("name", "certificate_name", "certificate_id")
    return {value for key in keys if isinstance(value := event.data.get(key), str)}


def _what(event: FollowedEvent) -> str:
    kind = _CATALOGUE.get(event.type)
    try:
        known = kind.model_validate(event.data) if kind else None
    except ValidationError:
        known = None
    return (story(known) if known else "") or _plain_fields(event)


def _plain_fields(event: FollowedEvent) -> str:
    """For a type without a story of its own: whatever is short enough for a line."""
    pairs = (f"{key}={value}" for key, value in event.data.items() if isinstance(value, str | int))
    return " ".join(pairs)[:200]
