"""A CA that takes connections and says nothing, with many jobs, beside a good one."""

import asyncio
import statistics
import time
from pathlib import Path

from certlocal.tools import Tell
from tests.acme_ca.conduct import Conduct
from tests.acme_ca.running import running_ca
from tests.acme_ca.server import deaf_server
from tests.acme_proofs.hosts import dns_name
from tests.holds.figures import Figure
from tests.integration.issuer.bus_peer import an_order
from tests.integration.issuer.scene import IssuerScene, issuer_scene, until
from tests.ports import free_port

__all__ = ["silent_neighbour"]

_VALIDATION_S = 0.3


async def silent_neighbour(folder: Path, *, tell: Tell, silent: int, good: int, rounds: int) -> list[Figure]:
    """Batches at the good CA, alone and then beside the others: the median of each."""
    port = free_port()
    deaf = {"name": "deaf", "directory_url": f"https://127.0.0.1:{port}/dir", "challenges": ["dns-01"]}
    async with running_ca(folder, tell=tell) as ca:
        with deaf_server(port):
            async with issuer_scene(folder, ca, more_cas=(deaf,)) as scene:

                async def batch(label: str) -> float:
                    names = [f"{label}-{number}" for number in range(good)]
                    for name in names:
                        ca.ca.books.conduct[dns_name(name)] = Conduct(validation_s=_VALIDATION_S)
                    return await _timed(scene, names)

                await batch("warm")
                alone = [await batch(f"alone{number}") for number in range(rounds)]
                orders = [an_order(f"s{number}", f"s{number}.example.org", issuer="deaf") for number in range(silent)]
                for some in (orders[at : at + 50] for at in range(0, len(orders), 50)):
                    await asyncio.gather(*map(scene.peer.order, some))
                accepted = "SELECT count(*) FROM job WHERE certificate_id LIKE 's%'"
                await until(
                    lambda: scene.journal(accepted) == [(silent,)], what="all jobs of the silent CA are known"
                )
                beside = [await batch(f"beside{number}") for number in range(rounds)]
                jobs = (2 * rounds + 1) * good
                finalized = len(ca.ca.finalized())
    ratio = statistics.median(beside) / statistics.median(alone)
    what = f"{good} jobs beside {silent} of a silent CA"
    return [
        Figure(f"{what}: alone, median of {rounds}", statistics.median(alone)),
        Figure(f"{what}: beside, median of {rounds}", statistics.median(beside)),
        Figure(f"{what}: cost", (ratio - 1) * 100, 10, unit="%"),
        Figure(f"{what}: finalized orders beyond one a job", finalized - jobs, 0, unit=""),
    ]


async def _timed(scene: IssuerScene, names: list[str]) -> float:
    began = time.monotonic()
    await asyncio.gather(*(scene.peer.order(an_order(name, dns_name(name))) for name in names))
    issued = scene.registry.issued
    await until(lambda: {name for name, _, _ in tuple(issued)} >= set(names), what=f"{names[0]} and the others")
    return time.monotonic() - began
