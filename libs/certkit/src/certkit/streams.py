"""How full the streams are; for the identity that may list them."""

from typing import Final

import nats.errors
from faststream.nats import NatsBroker
from nats.js.api import StreamInfo
from prometheus_client import CollectorRegistry

from certcore.errors import TransientError
from certkit import metric_names
from certkit.metric_names import gauge

__all__ = ["Streams"]

_TIMEOUT_S: Final = 5.0
_PAGE: Final = 256
"""So many streams the broker lists at once."""


class Streams:
    """`look` is a round of the background. Dead letters are those that the DLQ streams hold."""

    def __init__(self, *, broker: NatsBroker, metrics: CollectorRegistry) -> None:
        self._broker = broker
        self._bytes = gauge(metric_names.STREAM_BYTES, metrics)
        self._bytes_limit = gauge(metric_names.STREAM_BYTES_LIMIT, metrics)
        self._messages = gauge(metric_names.STREAM_MESSAGES, metrics)
        self._messages_limit = gauge(metric_names.STREAM_MESSAGES_LIMIT, metrics)

    async def look(self) -> None:
        """Read the figures of all streams.

        Raises:
            TransientError: the broker didn't list them; the figures stay as they were.
        """
        client = await self._broker.connect()
        js = client.jetstream(timeout=_TIMEOUT_S)
        found: list[StreamInfo] = []
        try:
            while True:
                # Not until an empty page: that has no list, over which the library stumbles.
                page = await js.streams_info(len(found))
                found += page
                if len(page) < _PAGE:
                    break
        except (nats.errors.Error, TimeoutError) as error:
            raise TransientError(f"the streams weren't listed: {type(error).__name__}") from error
        for metric in (self._bytes, self._bytes_limit, self._messages, self._messages_limit):
            metric.clear()
        for info in found:
            name = info.config.name or ""
            self._bytes.labels(name).set(info.state.bytes)
            self._messages.labels(name).set(info.state.messages)
            if (info.config.max_bytes or 0) > 0:
                self._bytes_limit.labels(name).set(info.config.max_bytes or 0)
            if (info.config.max_msgs or 0) > 0:
                self._messages_limit.labels(name).set(info.config.max_msgs or 0)
