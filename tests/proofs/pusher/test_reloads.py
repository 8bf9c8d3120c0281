"""HAProxy reloaded by others at random moments while it is pushed to."""

import os
import random

from tests.holds.figures import Figure, hold
from tests.integration.cdn_pusher.balancer import balancer, pem_of
from tests.integration.cdn_pusher.reloading import push_beside_reloads
from tests.servers import haproxies

_PUSHES = int(os.environ.get("N", "200"))
_OTHERS = 300
"""Certificates that make a reload take its time."""


async def test_reloads(seed: int) -> None:
    async with haproxies() as start, balancer(start) as edge:
        content = pem_of(edge.authority.issue("bulk.example.org")).content
        others = [edge.place.directory / f"bulk-{number}.pem" for number in range(_OTHERS)]
        for path in others:
            path.write_bytes(content)
        with edge.place.crt_list.open("a") as crt_list:
            crt_list.writelines(f"{path} bulk-{number}.example.org\n" for number, path in enumerate(others))
        await edge.server.reload()
        pusher = edge.place.pusher(watch_s=30)
        try:
            watched = await push_beside_reloads(edge, pusher, pushes=_PUSHES, choice=random.Random(seed))
        finally:
            await pusher.proof.close()
    hold(
        [
            Figure(
                f"{_PUSHES} pushes beside {watched.reloads} reloads: longest time stale",
                max(watched.stale_s, default=0.0),
                2.0,
                "s",
            ),
            Figure("  times stale", len(watched.stale_s), unit=""),
            Figure("  looks", watched.looks, unit=""),
        ]
    )
