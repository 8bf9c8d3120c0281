"""Others misbehave or are many: a single request of another team is live as soon as ever."""

import asyncio
import itertools
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from nats.aio.client import Client
from nats.errors import Error as NatsError

from certcore import subjects
from certcore.cloudevents import stored_headers
from certcore.events import DeliverySucceeded
from certcore.identities import Service, identity, owner_identity
from certkit.background import end_tasks
from certlocal.services import SITES
from tests.holds import broker
from tests.holds.asking_on_the_bus import ask_on_the_bus, request_headers
from tests.holds.figures import Figure
from tests.holds.fleet import TEAMS, Fleet
from tests.holds.processes import cpu_s, of_system

__all__ = ["burst", "floods"]

_LOUD, _OTHER, _QUIET = TEAMS
_KIB = 1024
_AHEAD_S = 2.0
"""A flood or a burst runs so long before the single request is made."""

Flood = Callable[[Client], Coroutine[None, None, None]]


async def floods(fleet: Fleet, *, count: int, seed: int) -> list[Figure]:
    """A site fills its STATUS stream, and an owner REQUESTS, as fast as they can; another team asks `count` times."""
    choice = random.Random(seed)
    site, other_site = choice.sample(SITES, 2)
    async with _flooding(fleet, identity(site, Service.SYNCER), lambda bus: _reports(bus, site, choice)):
        by_site = [await _asked_by_another(fleet, f"beside-reports-{n}", other_site) for n in range(count)]
    async with _flooding(fleet, owner_identity(_LOUD), lambda bus: _requests(bus, choice)):
        by_owner = [await _asked_by_another(fleet, f"beside-requests-{n}", other_site) for n in range(count)]
        on_the_bus = time.monotonic()
        async with broker.connected(fleet.system, owner_identity(_QUIET)) as bus:
            await ask_on_the_bus(fleet, bus, "beside-on-the-bus", team=_QUIET)
        await fleet.one_live("beside-on-the-bus")
        by_owner.append(time.monotonic() - on_the_bus)
    # What the loud ones ask for afterwards isn't lost either.
    after = time.monotonic()
    await fleet.request("after-the-flood", site, team=_LOUD)
    async with broker.connected(fleet.system, owner_identity(_LOUD)) as bus:
        await ask_on_the_bus(fleet, bus, "after-the-flood-on-the-bus", team=_LOUD)
    await fleet.live(["after-the-flood", "after-the-flood-on-the-bus"])
    recovered = time.monotonic() - after
    await fleet.one_order_each()
    return [
        Figure(f"a site floods STATUS: another team's request live (slowest of {count})", max(by_site), 10.0),
        Figure(
            f"an owner floods REQUESTS: another team's request live (slowest of {count + 1})", max(by_owner), 10.0
        ),
        Figure("  after that the loud site's and owner's own requests: live", recovered),
    ]


async def burst(fleet: Fleet, *, count: int) -> list[Figure]:
    """One team asks for many at once; then another team asks for one."""
    names = [f"burst-{number:04}" for number in range(count)]
    processes = of_system(fleet.system)
    used = cpu_s(processes)
    began = time.monotonic()
    asking = asyncio.create_task(fleet.request_all(names, team=_LOUD))
    try:
        await asyncio.sleep(min(_AHEAD_S, count / 100))
        single = await _asked_by_another(fleet, "beside-the-burst", SITES[0])
    finally:
        await asking
    accepted = time.monotonic() - began
    await fleet.live(names, every_s=1.0)
    took = time.monotonic() - began
    per = {name: 1000 * (now - used[name]) / (count + 1) for name, now in cpu_s(processes).items()}
    await fleet.one_order_each()
    return [
        Figure(f"{count} requests of a team at once: a single one of another team beside them live", single, 5.0),
        Figure(f"  all {count} accepted", accepted),
        Figure(f"  all {count} live", took),
        Figure("  live a second", count / took, unit="/s"),
        *(
            Figure(f"  CPU of {name} a certificate, looks of this test included", ms, unit="ms")
            for name, ms in per.items()
        ),
    ]


async def _asked_by_another(fleet: Fleet, name: str, site: str) -> float:
    began = time.monotonic()
    await fleet.request(name, site, team=_QUIET)
    await fleet.one_live(name)
    return time.monotonic() - began


@asynccontextmanager
async def _flooding(fleet: Fleet, who: str, flood: Flood) -> AsyncIterator[None]:
    async with broker.connected(fleet.system, who) as bus:
        task = asyncio.create_task(flood(bus))
        try:
            await asyncio.sleep(_AHEAD_S)
            yield
            assert not task.done(), "the flood ended by itself"
        finally:
            await end_tasks([task], again_s=0.5)


async def _reports(bus: Client, site: str, choice: random.Random) -> None:
    """Reports that nobody can read, small and large ones, about certificates that don't exist."""
    for number in itertools.count():
        about = str(uuid.UUID(int=choice.getrandbits(128)))
        headers = stored_headers(
            event_type=DeliverySucceeded.type,
            event_id=f"flood-{number}-{about}",
            source=f"certbus/{site}/syncer",
            time=datetime.now(UTC),
            about=about,
        )
        subject = subjects.status(site, Service.SYNCER, DeliverySucceeded.type, about)
        await _publish(bus, subject, choice.randbytes(choice.choice((1, 16, 256, 900)) * _KIB), headers, number)


async def _requests(bus: Client, choice: random.Random) -> None:
    """Requests that are refused, at the size that is allowed."""
    for number in itertools.count():
        body = b'{"name": "' + b"x" * (choice.choice((1, 16, 100)) * _KIB) + b'"}'
        headers = request_headers(_LOUD, f"flood-{number}-{choice.getrandbits(64)}")
        await _publish(bus, subjects.request(_LOUD), body, headers, number)


async def _publish(bus: Client, subject: str, body: bytes, headers: dict[str, str], number: int) -> None:
    try:
        await bus.publish(subject, body, headers=headers)
        if number % 20 == 0:
            await bus.flush()
    except (NatsError, OSError):
        # Cut off, or away: it goes on flooding.
        await asyncio.sleep(0.1)
    await asyncio.sleep(0)
