"""What a proven push to a real HAProxy costs, beside the same by hand.

`python -m tests.benchmarks.haproxy_push [PUSHES]`: one certificate after the other, on one HAProxy, in turns of each
kind so that all see the same machine. `bare` is set and commit alone: neither on disk nor proven. `safe` writes the
file atomically and synced, sets, commits, shows and shakes hands, and locks nothing. `ours` is a push and its proof.
Limit: ours at least 70 % of safe.
"""

import asyncio
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from cdn_pusher.domain.pem import HaproxyPem
from cdn_pusher.targets.haproxy.certificate_files import replace_file
from tests.integration.cdn_pusher.balancer import Balancer, Pusher, balancer, pem_of
from tests.servers import haproxies
from tests.yardstick import yardstick_ms

_TURN: Final = 20
_LEAST: Final = 0.70

Way = Callable[[Balancer, str, HaproxyPem], Awaitable[None]]


@dataclass
class Taken:
    """Of one way so far."""

    pushes: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0

    @property
    def rate(self) -> float:
        return self.pushes / self.seconds

    async def turn(self, way: Way, edge: Balancer, file: str, pems: list[HaproxyPem]) -> None:
        began, cpu = time.perf_counter(), _cpu_s()
        for pem in pems:
            await way(edge, file, pem)
        self.seconds += time.perf_counter() - began
        self.cpu_s += _cpu_s() - cpu
        self.pushes += len(pems)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _bare(edge: Balancer, file: str, pem: HaproxyPem) -> None:
    path = edge.place.directory / file
    assert "created" in await _asked(edge, b"set ssl cert %b <<\n%b\n" % (os.fsencode(path), pem.content))
    assert "Success" in await _asked(edge, b"commit ssl cert %b\n" % os.fsencode(path))


async def _safe(edge: Balancer, file: str, pem: HaproxyPem) -> None:
    path = edge.place.directory / file
    replace_file(path, pem.content)
    await _bare(edge, file, pem)
    assert pem.sha1 in await _asked(edge, b"show ssl cert %b\n" % os.fsencode(path))
    seen = await edge.served(pem.leaf.dns_names[0])
    assert seen.presented == pem.presented


async def _asked(edge: Balancer, command: bytes) -> str:
    reader, writer = await asyncio.open_unix_connection(edge.place.socket)
    try:
        writer.write(command)
        return (await reader.read()).decode()
    finally:
        writer.close()


def _ours(pusher: Pusher) -> Way:
    async def push(edge: Balancer, file: str, pem: HaproxyPem) -> None:
        await pusher.instance.push(file, pem, edge.place.wanted(file, pem, later=1))
        await pusher.proof.prove(file)

    return push


async def main(pushes: int) -> None:
    async with haproxies() as start, balancer(start) as edge:
        ways = {"bare": _bare, "safe": _safe, "ours": _ours(edge.place.pusher())}
        taken = {name: Taken() for name in ways}
        for name in ways:
            # The first one of each makes its file known to HAProxy.
            first = pem_of(edge.authority.issue(f"{name}.example.org"))
            await _ours(edge.place.pusher())(edge, f"{name}.pem", first)
        while taken["ours"].pushes < pushes:
            for name, way in ways.items():
                pems = [pem_of(edge.authority.issue(f"{name}.example.org")) for _ in range(_TURN)]
                await taken[name].turn(way, edge, f"{name}.pem", pems)
    print(f"{'way':<8}{'pushes/s':>10}{'CPU ms':>9}{'of safe':>9}")
    for name, found in taken.items():
        share = found.rate / taken["safe"].rate
        limit = f"  >= {_LEAST:.2f}{'' if share >= _LEAST else ' NOT KEPT'}" if name == "ours" else ""
        print(f"{name:<8}{found.rate:>10.1f}{1000 * found.cpu_s / found.pushes:>9.2f}{share:>9.2f}{limit}")
    print(f"this machine: yardstick {yardstick_ms():.1f} ms")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
