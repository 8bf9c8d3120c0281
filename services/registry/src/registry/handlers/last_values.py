"""The last values of each place, read once more: a database that was restored has lost what it read of them since."""

from collections.abc import Mapping

import structlog
from pydantic import ValidationError

from certcore import subjects
from certcore.cloudevents import envelope_of
from certcore.errors import PermanentError
from certcore.events import Event
from certkit.bus import Handler
from certkit.stream_messages import StoredMessage, StreamMessages

__all__ = ["LastValues"]

log = structlog.get_logger()


class LastValues:
    """Heartbeats, probe rounds and observations: a service tells most of them only when they change."""

    def __init__(self, *, messages: StreamMessages, handlers: Mapping[type[Event], Handler]) -> None:
        self._messages = messages
        self._handlers = {kind.type: (kind, handler) for kind, handler in handlers.items()}

    async def read(self) -> int:
        """Handle each as if it came now; returns how many there are.

        Raises:
            TransientError: the broker doesn't answer, or the database takes no writes now.
        """
        read = 0
        for stream in await self._messages.streams():
            if not stream.startswith(subjects.LAST):
                continue
            place = stream.removeprefix(subjects.LAST)
            async for message in self._messages.all(stream, subjects.lasts(place)):
                read += await self._handled(message)
        return read

    async def _handled(self, message: StoredMessage) -> bool:
        known = self._handlers.get(message.headers.get("ce-type", ""))
        if known is None:
            return False
        kind, handler = known
        try:
            event = kind.model_validate_json(message.body)
            await handler(event, envelope_of(message.headers, subject=message.subject, tries=1))
        except (ValidationError, PermanentError) as error:
            # Its consumer has set it aside before.
            log.info("last_value_left_out", subject=message.subject, error=type(error).__name__)
            return False
        return True
