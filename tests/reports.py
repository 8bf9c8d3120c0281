"""Reports as a service would publish them, and as the registry would read them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from certcore import subjects
from certcore.events import Event
from certcore.identities import READS_REPORTS, places
from tests.servers import SITES

__all__ = ["handled", "publish_report", "read_reports"]


async def publish_report(
    js: JetStreamContext, event: Event, *, place: str, service: str, about: str, headers: Mapping[str, str]
) -> None:
    """Streams are read side by side, and of a last value only the newest: a test tells one thing after the other."""
    await handled(js)
    route = subjects.route(event, place=place, service=service, about=about)
    await js.publish(route.subject, event.model_dump_json().encode(), headers=dict(headers))


async def handled(js: JetStreamContext, *, timeout_s: float = 15.0) -> None:
    """Wait until the registry has handled every report, or has set it aside."""
    for place in places(SITES):
        for stream in (subjects.status_stream(place), subjects.last_stream(place)):
            async with asyncio.timeout(timeout_s):
                while await _waiting(js, stream):  # noqa: ASYNC110 # what the broker holds has no event of ours
                    await asyncio.sleep(0.01)


async def _waiting(js: JetStreamContext, stream: str) -> int:
    try:
        state = (await js.stream_info(stream)).state
        if state.messages == 0:
            return 0
        info = await js.consumer_info(stream, READS_REPORTS)
    except NotFoundError:
        return 0
    # What was stored just now isn't counted as pending at once.
    delivered = info.delivered.stream_seq if info.delivered else 0
    return (info.num_pending or 0) + (info.num_ack_pending or 0) + max(state.last_seq - delivered, 0)


async def read_reports(js: JetStreamContext, place: str, note: Callable[[Msg], Awaitable[None]]) -> None:
    """Read the reports of a place in the registry's stead, until cancelled; streams may come and go meanwhile."""
    streams = (subjects.status_stream(place), subjects.last_stream(place))
    await asyncio.gather(*(_read(js, stream, note) for stream in streams))


async def _read(js: JetStreamContext, stream: str, note: Callable[[Msg], Awaitable[None]]) -> None:
    reading = await js.pull_subscribe_bind(READS_REPORTS, stream)
    while True:
        try:
            [message] = await reading.fetch(1, timeout=1)
        except (TimeoutError, NatsError):
            await asyncio.sleep(0.05)
            continue
        await note(message)
        await message.ack()
