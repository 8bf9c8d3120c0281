from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from certbus.errors import CommandError
from certbus.event_stream import Message
from certbus.exit_codes import ExitCode
from certbus.following import follow_events


class Streams:
    """One list of messages for each connection; an error breaks it there, and as the first it can't be made."""

    def __init__(self, *connections: list[Message | CommandError]) -> None:
        self._connections = iter(connections)
        self.asked: list[tuple[bool, str]] = []
        self.pauses: list[float] = []
        self.lines: list[str] = []

    @contextmanager
    def open(self, *, since_now: bool, last_id: str = "") -> Iterator[Iterator[Message]]:
        self.asked.append((since_now, last_id))
        planned = next(self._connections)
        if planned and isinstance(planned[0], CommandError):
            raise planned[0]
        yield self._messages(planned)

    def _messages(self, planned: list[Message | CommandError]) -> Iterator[Message]:
        for message in planned:
            if isinstance(message, CommandError):
                raise message
            yield message

    def follow(self, count: int, *, since_now: bool = True) -> list[str]:
        messages = follow_events(self.open, since_now=since_now, tell=self.lines.append, sleep=self.pauses.append)
        return [next(messages).data for _ in range(count)]


def message(number: int) -> Message:
    return Message(str(number), "x", f"data {number}")


def lost() -> CommandError:
    return CommandError("lost", exit_code=ExitCode.UNREACHABLE)


def test_a_lost_connection_is_taken_up_after_the_last_message() -> None:
    streams = Streams([message(1), message(2), lost()], [message(3)], [message(4)])
    assert streams.follow(4) == ["data 1", "data 2", "data 3", "data 4"]
    assert streams.asked == [(True, ""), (True, "2"), (True, "3")]


def test_pauses_grow_while_the_registry_is_away_and_are_short_again_after() -> None:
    streams = Streams([message(1)], [lost()], [lost()], [lost()], [message(2), lost()], [message(3)])
    streams.follow(3)
    assert streams.pauses == [0.5, 1.0, 2.0, 4.0, 0.5]
    assert streams.lines == ["lost: trying again", "following again"] * 2


def test_where_the_stream_stands_is_remembered_without_an_event() -> None:
    streams = Streams([Message("7", "message", ""), lost()], [message(8)])
    streams.follow(2)
    assert streams.asked[1] == (True, "7")


def test_a_registry_that_was_never_there_is_told_at_once() -> None:
    with pytest.raises(CommandError, match="lost"):
        Streams([lost()]).follow(1)


def test_a_refusal_ends_the_following() -> None:
    streams = Streams([message(1)], [CommandError("no", exit_code=ExitCode.NOT_ALLOWED)])
    with pytest.raises(CommandError, match="no"):
        streams.follow(2)
