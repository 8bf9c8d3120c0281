"""What a resolver must say so that a name counts as one without records."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import dns.message
import dns.name
import dns.rdatatype
import pytest

from issuer.adapters.dns_absence import Absence

NAME = dns.name.from_text("Shop.example.test")
CAA = dns.rdatatype.CAA

Answers = Callable[[bytes], list[bytes]]


class _Server(asyncio.DatagramProtocol):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.asked: list[bytes] = []
        self.transport: asyncio.DatagramTransport | None = None

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        self.asked.append(data)
        for answer in self._answers(data):
            assert self.transport is not None
            self.transport.sendto(answer, addr)


@asynccontextmanager
async def resolver(answers: Answers, *, patience_s: float = 30.0) -> AsyncIterator[tuple[Absence, _Server]]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: _Server(answers), local_addr=("127.0.0.1", 0))
    server.transport = transport
    host, port = transport.get_extra_info("sockname")
    try:
        yield Absence(host, port, patience_s=patience_s), server
    finally:
        transport.close()


def answered(question: bytes, flags: int = 0x8180, *, answers: int = 0, number: int | None = None) -> bytes:
    asked = struct.unpack_from("!H", question)[0]
    return struct.pack("!HHHHHH", asked if number is None else number, flags, 1, answers, 0, 0) + question[12:]


async def test_the_question_is_one_that_a_library_reads() -> None:
    async with resolver(lambda question: [answered(question)]) as (absence, server):
        assert await absence.sure(NAME, CAA)
    read = dns.message.from_wire(server.asked[0])
    assert [(one.name, one.rdtype) for one in read.question] == [(NAME, CAA)]


@pytest.mark.parametrize(
    ("flags", "answers", "sure"),
    [
        (0x8180, 0, True),
        (0x8183, 0, True),
        # Records, or an alias.
        (0x8180, 1, False),
        # The server failed, or refuses.
        (0x8182, 0, False),
        (0x8185, 0, False),
        # Cut off.
        (0x8380, 0, False),
    ],
)
async def test_only_a_plain_no_is_one(flags: int, answers: int, *, sure: bool) -> None:
    async with resolver(lambda question: [answered(question, flags, answers=answers)]) as (absence, _):
        assert await absence.sure(NAME, CAA) is sure


async def test_an_answer_to_another_question_is_none() -> None:
    def confused(question: bytes) -> list[bytes]:
        number = struct.unpack_from("!H", question)[0]
        other = answered(question[:12] + b"\x05other\x00\x01\x01\x00\x01")
        return [b"?", question, answered(question, number=number ^ 1), other, answered(question, answers=1)]

    async with resolver(confused) as (absence, _):
        assert not await absence.sure(NAME, CAA)


async def test_questions_of_the_same_moment_share_a_socket() -> None:
    waiting: list[bytes] = []

    def all_at_the_end(question: bytes) -> list[bytes]:
        waiting.append(question)
        return [answered(each) for each in waiting] if len(waiting) == 3 else []

    names = [dns.name.from_text(f"n{number}.example.test") for number in range(3)]
    async with resolver(all_at_the_end) as (absence, _):
        assert await asyncio.gather(*(absence.sure(name, CAA) for name in names)) == [True] * 3
        waiting.clear()
        # And there is another one after it was closed.
        assert await asyncio.gather(*(absence.sure(name, CAA) for name in names)) == [True] * 3


async def test_who_does_not_answer_is_waited_for_no_longer_than_said() -> None:
    async with resolver(lambda _: [], patience_s=0.01) as (absence, _):
        assert not await absence.sure(NAME, CAA)


async def test_where_nobody_listens_it_is_known_at_once() -> None:
    async with resolver(lambda _: []) as (absence, server):
        assert server.transport is not None
        server.transport.close()
        await asyncio.sleep(0)
        assert not await absence.sure(NAME, CAA)
