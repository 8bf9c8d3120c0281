"""A pull consumer's reader that neither asks without pause nor stays away."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import nats.errors
from faststream.nats.subscriber.usecases.stream_pull_subscriber import PullStreamSubscriber

from certcore.backoff import delay_after

__all__ = ["Reader"]

_FIRST_PAUSE: Final = timedelta(milliseconds=100)
_LONGEST_PAUSE: Final = timedelta(seconds=5)
_ASK_AGAIN_S: Final = 0.2


class Reader(PullStreamSubscriber):
    """Reads one consumer between `start` and `stop`, as long as `may_read` says so; of its messages, `at_once` are
    handled side by side.

    FastStream's own loops ask again at once where the broker refuses: thousands of times a second without a consumer.
    And where they handle several side by side, they fetch more than that: what waits here can't be handed to another.
    """

    at_once: int = 1
    may_read: Callable[[], bool] | None = None

    @property
    def consumer(self) -> tuple[str, str]:
        """Its stream and durable."""
        return self.stream.name, str(self.extra_options["durable"])

    def resume(self) -> bool:
        """Read on where the reading task was cancelled by somebody else; True where that was so."""
        if not self.running or not self.tasks or not all(task.done() for task in self.tasks):
            return False
        self.tasks.clear()
        self.add_task(self._consume_pull, func_kwargs={"cb": self.consume})
        return True

    async def _consume_pull(self, cb: Callable[[Any], Coroutine[Any, Any, Any]]) -> None:
        turns, refused = asyncio.Semaphore(self.at_once), 0

        async def handle(message: Any) -> None:
            try:
                await cb(message)
            finally:
                turns.release()

        async with asyncio.TaskGroup() as handling:
            while self.running and self.subscription is not None:
                await turns.acquire()
                if self.may_read is not None and not self.may_read():
                    turns.release()
                    await asyncio.sleep(_ASK_AGAIN_S)
                    continue
                began = time.monotonic()
                messages: list[Any] = []
                # Also what is refused for good: the consumer may be made again.
                with suppress(nats.errors.Error, TimeoutError):
                    messages = await self.subscription.fetch(batch=1, timeout=self.pull_sub.timeout)
                if messages:
                    handling.create_task(handle(messages[0]))
                    refused = 0
                    continue
                turns.release()
                waited = time.monotonic() - began >= (self.pull_sub.timeout or 0.0)
                refused = 0 if waited else refused + 1
                if refused:
                    pause = delay_after(refused, jitter=0.0, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
                    await asyncio.sleep(pause.total_seconds())
