"""Following the event stream across lost connections, without a gap and without a repetition."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final, Protocol

from certbus.errors import CommandError
from certbus.event_stream import Message
from certbus.exit_codes import ExitCode

__all__ = ["OpenEvents", "follow_events"]

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 15.0


class OpenEvents(Protocol):
    """Opens the stream after `last_id`, else at its end or its start; its messages end with the connection."""

    def __call__(self, *, since_now: bool, last_id: str = "") -> AbstractContextManager[Iterator[Message]]: ...


def follow_events(
    open_events: OpenEvents,
    *,
    since_now: bool,
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Message]:
    """Yield messages for ever: a connection that was lost is opened again after the last message that came.

    Raises:
        CommandError: the first connection can't be made, or the registry refuses one.
    """
    last_id, pause, connected, away = "", _FIRST_PAUSE_S, False, False
    while True:
        try:
            with open_events(since_now=since_now, last_id=last_id) as messages:
                if away:
                    tell("following again")
                connected, away, pause = True, False, _FIRST_PAUSE_S
                for message in messages:
                    last_id = message.id or last_id
                    yield message
        except CommandError as error:
            if not connected or error.exit_code is not ExitCode.UNREACHABLE:
                raise
            if not away:
                tell(f"{error.message}: trying again")
            away = True
        sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)
