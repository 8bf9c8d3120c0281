"""A team's tool that asks over the bus: it publishes, awaits the answer, and repeats what wasn't answered."""

import asyncio
import time
import uuid
from datetime import UTC, datetime
from typing import Final

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from certcore import subjects
from certcore.cloudevents import stored_headers
from certcore.events import RequestAccepted, RequestSubmitted
from tests.holds.fleet import Fleet
from tests.patience import HANG_S

__all__ = ["ask_on_the_bus", "request_headers"]

_REPEAT_S: Final = 5.0


def request_headers(team: str, event_id: str) -> dict[str, str]:
    """Those of a request, without a message id: a stream that lost it would take its repetition for a twin."""
    headers = stored_headers(
        event_type=RequestSubmitted.type,
        event_id=event_id,
        source=f"tools/{team}",
        time=datetime.now(UTC),
        about=team,
    )
    del headers["Nats-Msg-Id"]
    return headers


async def ask_on_the_bus(fleet: Fleet, bus: Client, name: str, *, team: str) -> None:
    """Ask until it is accepted: before that, nobody promised anything."""
    event_id = str(uuid.uuid4())
    body = fleet.spec(name).model_dump_json().encode()
    js = bus.jetstream()
    deadline, published = time.monotonic() + 2 * HANG_S, 0.0
    while time.monotonic() < deadline:
        try:
            if time.monotonic() - published > _REPEAT_S:
                await js.publish(subjects.request(team), body, headers=request_headers(team, event_id), timeout=2.0)
                published = time.monotonic()
            answer = await js.get_last_msg(
                subjects.answers_stream(team), subjects.answer(team, event_id), direct=True
            )
        except (NatsError, JetStreamError, TimeoutError, OSError):
            # Not answered yet, or the broker is away.
            await asyncio.sleep(0.3)
            continue
        kind = (answer.headers or {}).get("ce-type", "")
        assert kind == RequestAccepted.type, f"{name} was refused: {answer.data!r}"
        fleet.names.append(name)
        return
    raise AssertionError(f"{name} was not answered in {2 * HANG_S:g} s")
