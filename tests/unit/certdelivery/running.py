"""An engine at work in memory, and what a test asks of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from certcore.cloudevents import Envelope
from certcore.errors import TransientError
from certcore.events import DeploymentOrdered, Event
from certcore.placements import Action
from certdelivery.engine import Engine
from tests.issuing import CERTIFICATE_ID, Authority, Issued, order_for, target
from tests.unit.certdelivery.shelf import Shelf, World

EventT = TypeVar("EventT", bound=Event)

AUTHORITY = Authority()
ISSUED = [AUTHORITY.issue() for _ in range(4)]
WEB = target("shelf", "web")
ENVELOPE = Envelope(id="e", source="/test", type="t", subject="s")


def order_of(
    world: World, generation: int, revision: int | None = None, *, issued: Issued | None = None, at: object = None
) -> DeploymentOrdered:
    revision = revision or generation
    issued = issued or ISSUED[revision % len(ISSUED)]
    sealed = issued.sealed(revision, world.key)
    world.bundles[CERTIFICATE_ID, revision, "platform"] = sealed
    targets = [WEB] if at is None else [target("shelf", "web", shelves=at)]
    return order_for(issued, generation, targets, revision=revision, bundle_sha256=sealed.sha256())


def withdrawal_of(order: DeploymentOrdered, generation: int) -> DeploymentOrdered:
    (item,) = order.placements
    changed = item.model_copy(update={"generation": generation, "action": Action.WITHDRAW, "revision": None})
    return order.model_copy(update={"placements": (changed,)})


@asynccontextmanager
async def running(world: World, **shelves: Shelf) -> AsyncIterator[Engine]:
    engine = world.engine(**shelves)
    try:
        await engine.reconcile()
    except TransientError:
        assert world.away
    try:
        yield engine
    finally:
        await engine.close()


async def ordered(engine: Engine, order: Event) -> None:
    await engine.handlers[type(order)](order, ENVELOPE)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 # what is waited for has no event
            await asyncio.sleep(0.001)


async def reported_so_often(world: World, times: int) -> None:
    await until(lambda: len(world.reported) == times)


async def settled() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def reported_events(world: World, kind: type[EventT]) -> list[EventT]:
    return [event for event in world.reported if isinstance(event, kind)]
