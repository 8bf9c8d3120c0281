"""Reordered and repeated orders, and processes that end in between, end the same."""

import asyncio
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from certcore.cloudevents import Envelope
from certcore.errors import TransientError
from certcore.events import DeploymentOrdered
from certdelivery.engine import Engine
from certdelivery.model import Finding, Held, Wanted, WriteReason
from tests.issuing import CERTIFICATE_ID, NAME, Authority, order_for, target
from tests.unit.certdelivery.shelf import Shelf, World

AUTHORITY = Authority()
ISSUED = {revision: AUTHORITY.issue() for revision in range(1, 5)}
ENVELOPE = Envelope(id="e", source="/test", type="t", subject="s")


@dataclass(frozen=True)
class Restart:
    """The process ends and begins again; `level` says whether the registry can be asked then."""

    level: bool


Step = int | Restart

# Generation → revision: rollbacks are among them.
_REVISIONS = st.lists(st.integers(1, 4), min_size=1, max_size=5)


@st.composite
def _histories(draw: st.DrawFn) -> tuple[dict[int, int], list[Step]]:
    wanted = dict(enumerate(draw(_REVISIONS), start=1))
    heard = draw(st.lists(st.sampled_from(sorted(wanted)), max_size=8))
    restarts = draw(st.lists(st.builds(Restart, level=st.booleans()), max_size=3))
    steps: list[Step] = [*wanted, *heard, *restarts]
    return wanted, draw(st.permutations(steps))


async def _quiet() -> None:
    # Everything is in memory: what can go on has gone on after a few turns of the loop.
    for _ in range(60):
        await asyncio.sleep(0)


async def _play(world: World, shelf: Shelf, orders: dict[int, DeploymentOrdered], steps: list[Step]) -> None:
    engine = await _started(world, shelf)
    for step in steps:
        match step:
            case Restart(level):
                await engine.close()
                world.away = not level
                engine = await _started(world, shelf)
            case generation:
                await engine.handlers[DeploymentOrdered](orders[generation], ENVELOPE)
        await _quiet()
    await engine.close()


async def _started(world: World, shelf: Shelf) -> Engine:
    engine = world.engine(a=shelf)
    try:
        await engine.reconcile()
    except TransientError:
        assert world.away
    await _quiet()
    return engine


@dataclass
class Forgetful(Shelf):
    """Doesn't know for which order it holds what it holds."""

    async def inspect(self, wanted: Wanted) -> Finding:
        held = self.held.get(wanted.name)
        if held is not None and held.fingerprint_sha256 == wanted.fingerprint_sha256:
            return Finding()
        return Finding.of([WriteReason.OLDER])


def _orders(world: World, wanted: dict[int, int]) -> dict[int, DeploymentOrdered]:
    orders = {}
    for generation, revision in wanted.items():
        key = (CERTIFICATE_ID, revision, "platform")
        sealed = world.bundles.setdefault(key, ISSUED[revision].sealed(revision, world.key))
        orders[generation] = order_for(
            ISSUED[revision],
            generation,
            [target("shelf", "web")],
            revision=revision,
            bundle_sha256=sealed.sha256(),
        )
    return orders


@settings(max_examples=150, deadline=None)
@given(_histories())
def test_a_running_engine_needs_no_memory_of_the_destination_for_that(
    history: tuple[dict[int, int], list[Step]],
) -> None:
    wanted, steps = history
    world, shelf = World(away=True), Forgetful()

    asyncio.run(_play(world, shelf, _orders(world, wanted), [step for step in steps if isinstance(step, int)]))

    assert shelf.held[NAME].fingerprint_sha256 == ISSUED[wanted[max(wanted)]].leaf.fingerprint_sha256


@settings(max_examples=150, deadline=None)
@given(_histories())
def test_however_orders_come_the_highest_generation_is_what_is_held_at_the_end(
    history: tuple[dict[int, int], list[Step]],
) -> None:
    wanted, steps = history
    world, shelf = World(), Shelf()
    orders = _orders(world, wanted)
    highest = max(wanted)
    world.orders = [orders[highest]]
    # At first only events tell it anything.
    world.away = True

    asyncio.run(_play(world, shelf, orders, steps))

    revision = wanted[highest]
    assert shelf.held[NAME] == Held(revision, ISSUED[revision].leaf.fingerprint_sha256, highest)
