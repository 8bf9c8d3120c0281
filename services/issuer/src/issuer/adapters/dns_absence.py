"""One small question to a resolver, over one socket: does it say that a name has no records of a kind?

Most names have none of their own. To learn that by a library takes a socket, a message and a cache for each
question, and costs more than a signed question to a CA.
"""

import asyncio
import secrets
import struct
from typing import Final

import dns.name

__all__ = ["Absence"]

_HEAD: Final = struct.Struct("!HHHHHH")
_KIND: Final = struct.Struct("!HH")
_IN: Final = 1
_RECURSION: Final = 0x0100
_ANSWER: Final = 0x8000
_CUT_OR_ODD: Final = 0x7A00
"""Another operation than a query, or an answer that was cut off."""
_RCODE: Final = 0x000F
_NO_ERROR: Final = 0
_NO_SUCH_NAME: Final = 3


class Absence(asyncio.DatagramProtocol):
    """Of one resolver. Where it says anything else, nothing, or something odd, that is no answer here: whoever wants
    to know asks as one usually does. So a forged answer can hide records, and can't invent any.
    """

    def __init__(self, host: str, port: int, *, patience_s: float) -> None:
        self._host = host
        self._port = port
        self._patience_s = patience_s
        self._transport: asyncio.DatagramTransport | None = None
        self._opening = asyncio.Lock()
        self._asked: dict[int, tuple[bytes, asyncio.Future[bool]]] = {}

    async def sure(self, name: dns.name.Name, kind: int) -> bool:
        """Whether the resolver says that the name has no records of this kind, nor an alias."""
        question = (name.to_wire() or b"").lower() + _KIND.pack(kind, _IN)
        loop = asyncio.get_running_loop()
        number = secrets.randbits(16)
        if number in self._asked:
            return False
        answered: asyncio.Future[bool] = loop.create_future()
        self._asked[number] = question, answered
        giving_up = loop.call_later(self._patience_s, _give_up, answered)
        try:
            (await self._opened()).sendto(_HEAD.pack(number, _RECURSION, 1, 0, 0, 0) + question)
            return await answered
        except OSError:
            return False
        finally:
            giving_up.cancel()
            del self._asked[number]
            if not self._asked and self._transport is not None:
                # So there is nothing to be closed at the end, and questions of the same moment share it.
                self._transport.close()

    def datagram_received(self, data: bytes, _: object) -> None:
        if len(data) < _HEAD.size:
            return
        number, flags, questions, answers = _HEAD.unpack_from(data)[:4]
        question, answered = self._asked.get(number, (b"", None))
        asked = data[_HEAD.size : _HEAD.size + len(question)].lower()
        if answered is None or answered.done() or questions != 1 or asked != question or not flags & _ANSWER:
            return
        plain = not flags & _CUT_OR_ODD and flags & _RCODE in {_NO_ERROR, _NO_SUCH_NAME}
        answered.set_result(plain and answers == 0)

    def error_received(self, _: Exception) -> None:
        """Nobody listens there: all who wait ask otherwise."""
        for asked in self._asked.values():
            _give_up(asked[1])

    async def _opened(self) -> asyncio.DatagramTransport:
        async with self._opening:
            if self._transport is None or self._transport.is_closing():
                self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: self, remote_addr=(self._host, self._port)
                )
            return self._transport


def _give_up(answered: asyncio.Future[bool]) -> None:
    if not answered.done():
        answered.set_result(False)
