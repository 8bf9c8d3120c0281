import asyncio
import gc
from collections.abc import Mapping
from typing import cast

from faststream.nats import NatsBroker

from certkit.background import end_tasks
from registry.adapters.jetstream import JetStream


class Stuck:
    """A broker and its client in one; what is sent never leaves."""

    def __init__(self) -> None:
        self.sending = asyncio.Event()

    async def connect(self) -> "Stuck":
        return self

    def new_inbox(self) -> str:
        return "_INBOX.x"

    async def subscribe(self, subject: str, cb: object) -> None: ...

    async def publish(self, subject: str, body: bytes, *, reply: str, headers: Mapping[str, str]) -> None:  # noqa: ARG002
        self.sending.set()
        await asyncio.Event().wait()


def kept(stream: JetStream) -> int:
    """How many futures the object refers to."""
    tables = [value for value in vars(stream).values() if isinstance(value, dict)]
    return sum(isinstance(item, asyncio.Future) for table in tables for item in gc.get_referents(table))


async def test_a_publish_that_is_cancelled_while_it_is_sent_is_forgotten() -> None:
    broker = Stuck()
    stream = JetStream(broker=cast("NatsBroker", broker))
    await stream.open()

    async def publish() -> None:
        await stream.publish(b"", subject="s", stream="S", headers={})

    publishing = asyncio.create_task(publish())
    await broker.sending.wait()
    assert kept(stream) == 1
    await end_tasks([publishing])
    await asyncio.sleep(0)
    assert kept(stream) == 0
