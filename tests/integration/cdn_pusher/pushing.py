"""A pusher in a process of its own, for tests that need two of them or kill one.

`push`: many certificates for one name, one after the other; a line of JSON tells what was live after each.
`die`: leaves a transaction open and kills itself.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from cdn_pusher.domain.errors import DeliveryError
from certprobe.handshake import Prober
from tests.authority import Authority
from tests.integration.cdn_pusher.balancer import Place, deliver, pem_of


async def push(place: Place, name: str, count: int) -> None:
    pusher, authority = place.pusher(), Authority(name)
    prober = Prober(verify=False)
    wrong, refused = 0, 0
    host = f"{name}.example.org"
    for _ in range(count):
        issued = authority.issue(host)
        try:
            await deliver(place, f"{name}.pem", pem_of(issued), by=pusher)
        except DeliveryError as error:
            refused += 1
            print(f"refused: {error}", file=sys.stderr)
        seen = await prober.shake("127.0.0.1", place.port, server_name=host)
        wrong += seen.leaf.fingerprint_sha256 != issued.fingerprint
    print(json.dumps({"pushes": count, "wrong": wrong, "refused": refused}))


async def die(place: Place, name: str) -> None:
    path = place.directory / f"{name}.pem"
    async with place.instance()._lock.held():  # noqa: SLF001 # it dies with the lock in its hand
        await place.runtime.set(path, pem_of(Authority(name).issue(f"{name}.example.org")).content)
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    order = json.loads(sys.argv[1])
    place = Place(folder=Path(order["folder"]), port=order["port"])
    if order["task"] == "push":
        asyncio.run(push(place, order["name"], order["count"]))
    else:
        asyncio.run(die(place, order["name"]))


if __name__ == "__main__":
    main()
