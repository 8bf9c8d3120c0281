"""HAProxy reloaded by others while certificates are pushed.

A reload is held between reading the certificates and serving them: its configuration names a map, which is read after
them and is a pipe.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from cdn_pusher.domain.decision import Reason
from certkit.background import end_tasks
from tests.integration.cdn_pusher.balancer import Balancer, balancer, deliver, pem_of
from tests.integration.registry.bus import eventually
from tests.patience import HANG_S
from tests.servers import Haproxies

pytestmark = pytest.mark.integration

HOST = "shop.example.org"
FILE = "shop.pem"


@pytest_asyncio.fixture
async def edge(haproxy: Haproxies) -> AsyncIterator[Balancer]:
    async with balancer(haproxy) as running:
        yield running


@asynccontextmanager
async def reload_under_way(edge: Balancer) -> AsyncIterator[asyncio.Event]:
    """A reload that has read all certificates; it ends after the event is set."""
    gate, file = edge.place.folder / "gate.map", edge.server.configuration_file
    os.mkfifo(gate)
    configuration, go_on = file.read_text(), asyncio.Event()
    file.write_text(f"{configuration}  http-request set-var(txn.gate) path,map({gate},none)\n")
    reload = asyncio.create_task(edge.server.reload(timeout_s=HANG_S))
    descriptor = await _opened(gate)
    file.write_text(configuration)

    async def open_gate() -> None:
        await go_on.wait()
        with os.fdopen(descriptor, "wb") as pipe:
            pipe.write(b"/ open\n")
        await reload

    opening = asyncio.create_task(open_gate())
    try:
        yield go_on
        await asyncio.wait_for(opening, HANG_S)
    finally:
        await end_tasks([opening, reload])


async def _opened(gate: Path) -> int:
    """A descriptor to write to, as soon as somebody reads."""
    while True:
        with suppress(OSError):
            descriptor = os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
            os.set_blocking(descriptor, True)
            return descriptor
        await asyncio.sleep(0.01)


async def test_a_new_worker_that_read_the_file_before_it_was_written_gets_the_new_certificate(edge: Balancer) -> None:
    first, second = edge.authority.issue(HOST), edge.authority.issue(HOST)
    await deliver(edge.place, FILE, pem_of(first))
    pusher = edge.place.pusher(watch_s=2 * HANG_S)
    async with reload_under_way(edge) as go_on:
        # Nothing tells that another worker is about to come: the old one is proven, and serves it.
        await deliver(edge.place, FILE, pem_of(second), by=pusher)
        go_on.set()

    async def renewed() -> bool:
        return (await edge.served(HOST)).presented == pem_of(second).presented

    await eventually(renewed, what="the new worker serves what it hadn't read")
    wanted = edge.place.wanted(FILE, pem_of(second))
    assert (await pusher.instance.look(FILE, wanted)).reason is Reason.HELD
    await pusher.proof.close()


async def test_with_the_masters_socket_nothing_is_proven_before_the_reload_has_ended(edge: Balancer) -> None:
    first, second = edge.authority.issue(HOST), edge.authority.issue(HOST)
    await deliver(edge.place, FILE, pem_of(first))
    async with reload_under_way(edge) as go_on:
        delivery = asyncio.create_task(deliver(edge.with_master, FILE, pem_of(second)))

        async def served() -> bool:
            return (await edge.served(HOST)).presented == pem_of(second).presented

        await eventually(served, what="the old worker serves it")
        done, _ = await asyncio.wait([delivery], timeout=0.5)
        assert not done
        go_on.set()
        await asyncio.wait_for(delivery, HANG_S)
        # At once, without a look of the watch.
        assert await served()


async def test_a_withdrawal_meanwhile_is_not_undone(edge: Balancer) -> None:
    first = edge.authority.issue(HOST)
    pusher = edge.place.pusher(watch_s=2 * HANG_S)
    await deliver(edge.place, FILE, pem_of(first), by=pusher)
    await edge.place.runtime.remove(edge.place.crt_list, edge.place.directory / FILE)
    edge.place.files.strike(FILE)
    edge.place.files.remove(FILE)
    await edge.server.reload()
    await deliver(edge.place, "other.pem", pem_of(edge.authority.issue("other.example.org")), by=pusher)
    assert await edge.place.runtime.loaded(edge.place.directory / FILE) is None
    await pusher.proof.close()
