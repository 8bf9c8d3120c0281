"""Two pushers at one HAProxy; and certificates that change under clients which never pause, beside reloads."""

import asyncio
import json
import os
import random

from certkit.background import end_tasks
from certlocal.errors import ProcessFailedError
from tests.holds.figures import Figure, hold
from tests.integration.cdn_pusher.balancer import balancer, deliver, pem_of
from tests.integration.cdn_pusher.clients import Tally, keep_connecting
from tests.servers import haproxies

_PUSHES = int(os.environ.get("N", "2000"))
_ROTATIONS = 200
_CLIENTS = 4
_RELOADS = 6
_OTHERS = 1000
HOST = "shop.example.org"


async def test_two_pushers() -> None:
    async with haproxies() as start, balancer(start) as edge:
        names = ("left", "right")
        for name in names:
            await deliver(edge.place, f"{name}.pem", pem_of(edge.authority.issue(f"{name}.example.org")))
        pushers = [edge.in_another_process({"task": "push", "name": name, "count": _PUSHES // 2}) for name in names]
        for pusher in pushers:
            pusher.start()
        told = []
        for pusher in pushers:
            assert await pusher.wait(timeout_s=3600) == 0, pusher.last_lines()
            told.append(json.loads(pusher.last_lines(1)))
    hold(
        [
            Figure(f"{_PUSHES} pushes by two pushers: wrong certificates live", sum(t["wrong"] for t in told), 0, ""),
            Figure("  refused", sum(t["refused"] for t in told), 0, ""),
        ]
    )


async def test_rotations(seed: int) -> None:
    choice = random.Random(seed)
    async with haproxies() as start, balancer(start) as edge:
        content = pem_of(edge.authority.issue("bulk.example.org")).content
        others = [edge.place.directory / f"bulk-{number}.pem" for number in range(_OTHERS)]
        for path in others:
            path.write_bytes(content)
        with edge.place.crt_list.open("a") as crt_list:
            crt_list.writelines(f"{path} bulk-{number}.example.org\n" for number, path in enumerate(others))
        await edge.server.reload(timeout_s=120)
        roots = edge.place.folder / "roots.pem"
        roots.write_text(edge.authority.root_pem)
        pusher, tally, at = edge.place.pusher(watch_s=60), Tally(), set(choice.sample(range(_ROTATIONS), _RELOADS))
        await deliver(edge.place, "shop.pem", pem_of(edge.authority.issue(HOST)), by=pusher)
        clients = [asyncio.create_task(keep_connecting(edge.place.port, HOST, roots, tally)) for _ in range(_CLIENTS)]
        reloads: list[asyncio.Task[None]] = []
        try:
            for number in range(_ROTATIONS):
                if number in at:
                    await asyncio.gather(*reloads)
                    reloads.append(asyncio.create_task(edge.server.reload(timeout_s=120)))
                await deliver(edge.place, "shop.pem", pem_of(edge.authority.issue(HOST)), by=pusher)
            await asyncio.gather(*reloads)
            # One that can't be loaded: the old worker goes on.
            others[0].write_bytes(b"broken")
            refused = False
            try:
                await edge.server.reload(timeout_s=120)
            except ProcessFailedError:
                refused = True
            await deliver(edge.place, "shop.pem", pem_of(edge.authority.issue(HOST)), by=pusher)
        finally:
            await end_tasks(clients)
            await pusher.proof.close()
    hold(
        [
            Figure(
                f"{_ROTATIONS} rotations under {_CLIENTS} clients, {_RELOADS} reloads, {_OTHERS} on the list: failed",
                len(tally.faults),
                0,
                "",
            ),
            Figure("  handshakes", tally.handshakes, unit=""),
            Figure("  a reload with a broken file that was accepted", int(not refused), 0, ""),
        ]
    )
