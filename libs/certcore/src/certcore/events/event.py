"""What all events have in common, and the catalogue of them."""

from typing import ClassVar

from certcore.reading import ReadModel

__all__ = ["Event", "OfCertificate", "catalogue"]


class Event(ReadModel):
    """Frozen, versioned by its type, additive; it never holds key material.

    A new optional field keeps the version; anything else is a new type. Unknown fields are ignored, so that a
    consumer reads what a newer producer writes.
    """

    type: ClassVar[str]


class OfCertificate(Event):
    certificate_id: str
    name: str
    owner: str


def catalogue() -> dict[str, type[Event]]:
    """Every event by its CloudEvents type."""
    found: dict[str, type[Event]] = {}
    queue: list[type[Event]] = [Event]
    while queue:
        for kind in queue.pop().__subclasses__():
            queue.append(kind)
            if "type" in vars(kind):
                found[kind.type] = kind
    return found
