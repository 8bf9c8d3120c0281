"""Server-sent events (WHATWG HTML §9.2.6), decoded from whatever pieces the network delivers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_EVENT_BYTES", "EventStreamError", "Message", "StreamDecoder"]

MAX_EVENT_BYTES: Final = 4 * 1024 * 1024
"""No event of certbus comes near it; it keeps a wrong server from filling the memory."""


class EventStreamError(Exception):
    pass


@dataclass(frozen=True)
class Message:
    """`id` is where the stream can be resumed: the last one that was sent, on this message or before it.

    Without `data` it tells nothing but that.
    """

    id: str
    type: str
    data: str


class StreamDecoder:
    """Feed it bytes, take messages. Comments only keep the connection alive."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._after_return = False
        self._first_line = True
        self._last_id = ""
        self._moved = False
        self._type = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Decode the next piece.

        Raises:
            EventStreamError: one event is larger than MAX_EVENT_BYTES.
        """
        # Only CR, LF and CRLF end a line: bytes.splitlines agrees, str.splitlines doesn't.
        if not chunk:
            return
        if self._after_return:
            chunk = chunk.removeprefix(b"\n")
        self._after_return = chunk.endswith(b"\r")
        for piece in chunk.splitlines(keepends=True):
            line = piece.rstrip(b"\r\n")
            self._line += line
            self._size += len(line)
            if self._size > MAX_EVENT_BYTES:
                raise EventStreamError(f"an event is larger than {MAX_EVENT_BYTES} bytes")
            if len(piece) > len(line):
                whole, self._line = bytes(self._line), bytearray()
                yield from self._take(whole.decode(errors="replace"))

    def _take(self, line: str) -> Iterator[Message]:
        if self._first_line:
            line, self._first_line = line.removeprefix("\ufeff"), False
        if not line:
            if self._data or self._moved:
                yield Message(self._last_id, self._type or "message", "\n".join(self._data))
            self._type, self._data, self._moved, self._size = "", [], False, 0
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._type = value
            case "id" if "\0" not in value:
                self._last_id, self._moved = value, True
            case _:  # a comment, `retry`, or a field of a later version
                pass
