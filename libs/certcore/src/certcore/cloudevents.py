"""CloudEvents 1.0 over NATS in binary mode: attributes in `ce-` headers, JSON in the body.

Source: the CNCF NATS protocol binding. W3C trace context rides in `traceparent`, put there by the telemetry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from certcore.events import Event

__all__ = ["Envelope", "envelope_of", "headers_of", "stored_headers", "time_of"]

SPEC_VERSION: Final = "1.0"


@dataclass(frozen=True)
class Envelope:
    """What a consumer may know of a message beside its data.

    `id` is the event's identity for idempotence; `subject` is the bus subject; `tries` counts deliveries from 1.
    """

    id: str
    type: str
    source: str
    subject: str
    tries: int = 1


def headers_of(event: Event, *, event_id: str, source: str, time: datetime, about: str) -> dict[str, str]:
    """The headers of an event; `about` becomes ce-subject, the thing that the event is about."""
    return stored_headers(event_type=event.type, event_id=event_id, source=source, time=time, about=about)


def stored_headers(*, event_type: str, event_id: str, source: str, time: datetime, about: str) -> dict[str, str]:
    """The headers of an event that was serialised before, as an outbox keeps it."""
    return {
        "ce-specversion": SPEC_VERSION,
        "ce-id": event_id,
        "ce-source": source,
        "ce-type": event_type,
        "ce-time": time.isoformat(),
        "ce-subject": about,
        "ce-datacontenttype": "application/json",
        "content-type": "application/json",
        "Nats-Msg-Id": event_id,
    }


def envelope_of(headers: Mapping[str, str], *, subject: str, tries: int) -> Envelope:
    return Envelope(
        id=headers.get("ce-id") or headers.get("Nats-Msg-Id") or "",
        type=headers.get("ce-type", ""),
        source=headers.get("ce-source", ""),
        subject=subject,
        tries=tries,
    )


def time_of(headers: Mapping[str, str]) -> datetime | None:
    """When the event was announced; None where that isn't told, or without its zone, as the protocol demands it."""
    try:
        found = datetime.fromisoformat(headers.get("ce-time", ""))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
