"""What one certificate costs the registry, from its request to live: CPU and write transactions.

`python -m tests.benchmarks.registry_cost [STORED] [MEASURED]`: a real registry on a real broker; issuer, deliverer
and monitor are scripted, so that what is measured is the registry alone. Limits: 40 ms CPU and 6 write transactions.
"""

import asyncio
import json
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

from certcore import subjects
from certcore.api import Role
from certcore.bundles import SealedKey
from certcore.cloudevents import headers_of
from certcore.events import (
    DeliverySucceeded,
    EndpointObserved,
    Event,
    RevisionRenewalWindow,
    RevisionStarted,
    ServingVerdict,
)
from certcore.placements import PLATFORM
from certcore.sealing import SealContext, seal
from tests.authority import Authority, Issued
from tests.integration.registry.bus import Bus, eventually
from tests.registry_process import Person, RunningRegistry, running_registry
from tests.reports import handled
from tests.yardstick import yardstick

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_AT_ONCE: Final = 50
_NUMBERS: Final = count(1)
_CPU_LIMIT_MS: Final = 40.0
_WRITES_LIMIT: Final = 6.0


@dataclass
class Asked:
    id: str
    name: str
    issued: Issued | None = None


class Line:
    """The rest of the line, scripted: it says what a well-behaved service says, as fast as it is heard."""

    def __init__(self, registry: RunningRegistry, bus: Bus, people: dict[str, Person]) -> None:
        self.registry = registry
        self.bus = bus
        self.people = people
        self.authority = Authority()
        self.etags: dict[str, str] = {}

    async def live(self, number: int) -> None:
        asked = await each(range(number), self.ask)
        await self.settled()
        await self.reconcile()
        await each(asked, self.started)
        await each(asked, self.hand_over)
        await each(asked, self.suggest)
        await self.settled()
        await each(asked, self.fetch)
        await each(asked, self.delivered)
        await each(asked, self.served)
        await self.settled()
        await self.reconcile()

    async def reconcile(self) -> None:
        """Read what the site should hold, as a syncer does in its rounds."""
        after: str | None = None
        while True:
            url = f"/v1/deployments?limit=200{f'&after={after}' if after else ''}"
            known = {"if-none-match": self.etags[url]} if url in self.etags else {}
            response = await self.people["syncer"].get(url, headers=known)
            if response.status_code == 304:
                # The same page as before, and so the pages after it.
                return
            assert response.status_code == 200, response.text
            self.etags[url] = response.headers["etag"]
            after = response.json()["next"]
            if after is None:
                return

    async def ask(self, _: int) -> Asked:
        name = f"cost-{next(_NUMBERS)}"
        body = {
            "name": name,
            "dns_names": [f"{name}.internal.example.test"],
            "exposure": "internal",
            "targets": [{"kind": "files", "name": "host", "site": "site1"}],
            "endpoints": [{"url": f"https://{name}.internal.example.test:8443", "target": "host"}],
        }
        response = await self.people["asker"].post("/v1/requests", json=body)
        assert response.status_code == 202, response.text
        return Asked(response.json()["certificate_id"], name)

    async def started(self, item: Asked) -> None:
        await self.report(item, "issuer", RevisionStarted(certificate_id=item.id, revision=1, ca="ca-one"))

    async def hand_over(self, item: Asked) -> None:
        now = datetime.now(UTC)
        issued = self.authority.issue(
            f"{item.name}.internal.example.test", not_before=now, not_after=now + timedelta(days=30)
        )
        item.issued = issued
        key = self.registry.keys["site1-syncer"]
        sealed = seal(
            issued.key_pem.encode(), public_key=key.public_key, context=SealContext(key.name, item.id, 1, PLATFORM)
        )
        body = {
            "chain_pem": issued.chain_pem,
            "keys": [SealedKey.of(key.name, sealed, key.key_id).model_dump()],
            "report": {"ca": "ca-one", "validation_method": "dns-01", "ari_id": "ari"},
        }
        response = await self.people["issuer"].put(f"/v1/bundles/{item.id}/1", json=body)
        assert response.status_code == 200, response.text
        assert response.json()["reported"]

    async def suggest(self, item: Asked) -> None:
        now = datetime.now(UTC)
        event = RevisionRenewalWindow(
            certificate_id=item.id,
            revision=1,
            start=now + timedelta(days=19),
            end=now + timedelta(days=21),
            chosen=now + timedelta(days=20),
            answered_at=now,
        )
        await self.report(item, "issuer", event)

    async def fetch(self, item: Asked) -> None:
        response = await self.people["syncer"].get(f"/v1/bundles/{item.id}/1")
        assert response.status_code == 200, response.text

    async def delivered(self, item: Asked) -> None:
        assert item.issued is not None
        event = DeliverySucceeded(
            certificate_id=item.id,
            generation=1,
            revision=1,
            target="host",
            fingerprint_sha256=item.issued.fingerprint,
        )
        await self.report(item, "syncer", event)

    async def served(self, item: Asked) -> None:
        assert item.issued is not None
        event = EndpointObserved(
            certificate_id=item.id,
            url=f"https://{item.name}.internal.example.test:8443",
            verdict=ServingVerdict.WANTED,
            served_revision=1,
            served_fingerprint_sha256=item.issued.fingerprint,
            addresses=(),
            observed_at=datetime.now(UTC),
        )
        await self.report(item, "monitor", event)

    async def report(self, item: Asked, service: str, event: Event) -> None:
        place = "site1" if service == "syncer" else "hub"
        headers = headers_of(
            event,
            event_id=str(uuid.uuid4()),
            source=f"certbus/{place}/{service}",
            time=datetime.now(UTC),
            about=item.id,
        )
        route = subjects.route(event, place=place, service=service, about=item.id)
        await self.bus.js.publish(route.subject, event.model_dump_json().encode(), headers=headers, timeout=30)

    async def settled(self) -> None:
        """Every report was handled, and every event of the outbox was published."""
        await handled(self.bus.js, timeout_s=600)
        await eventually(self.all_sent, what="the last event's publication", timeout_s=600)

    async def all_sent(self) -> bool:
        return not self.registry.process.rows("SELECT sequence FROM event WHERE sent_at IS NULL LIMIT 1")


async def each(items: Iterable[ItemT], work: Callable[[ItemT], Awaitable[ResultT]]) -> list[ResultT]:
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(item: ItemT) -> ResultT:
        async with turn:
            return await work(item)

    return await asyncio.gather(*map(one, items))


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def commits(registry: RunningRegistry) -> float:
    text = (await registry.http.get("/metrics")).text
    line = next(line for line in text.splitlines() if line.startswith("certbus_database_commits_total"))
    return float(line.split()[-1])


async def main(stored: int, measured: int) -> None:
    async with running_registry() as registry, Bus.connect(registry.nats_url) as bus:
        people = {
            "asker": await registry.person("asker", Role.REQUESTER),
            "issuer": await registry.service("issuer", Role.ISSUER),
            "syncer": await registry.service("site1-syncer", Role.DELIVERER, site="site1", kind="syncer"),
        }
        line = Line(registry, bus, people)
        for done in range(0, stored, 250):
            await line.live(min(250, stored - done))
            print(f"stored {min(done + 250, stored)}", flush=True)
        pid = registry.process.child.pid
        assert pid is not None
        before, writes, began = cpu_s(pid), await commits(registry), time.monotonic()
        async with yardstick() as taken:
            await line.live(measured)
        cpu, wrote, took = cpu_s(pid) - before, await commits(registry) - writes, time.monotonic() - began
        states = registry.process.rows("SELECT state, COUNT(*) AS number FROM certificate GROUP BY state")
        print(json.dumps(states))
        print(f"{'measure':32} {'seen':>8} {'limit':>8}")
        print(f"{'CPU ms a certificate':32} {cpu * 1000 / measured:8.1f} {_CPU_LIMIT_MS:8.1f}")
        print(f"{'write transactions a certificate':32} {wrote / measured:8.2f} {_WRITES_LIMIT:8.2f}")
        print(f"{'this machine: yardstick ms':32} {statistics.median(taken):8.1f}")
        print(f"{'certificates a second':32} {measured / took:8.1f}")


if __name__ == "__main__":
    asyncio.run(main(*(int(argument) for argument in [*sys.argv[1:], "1000", "300"][:2])))
