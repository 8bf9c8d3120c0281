"""The watch of streams against a real database; the broker's answers are given."""

from collections.abc import AsyncIterator, Callable, Collection
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

import registry
from certcore import subjects
from certcore.errors import TransientError
from certcore.events import DeploymentOrdered, EndpointsExpected
from certkit.transactions import Database
from registry.adapters.jetstream import ConsumerState, JetStream, StreamState
from registry.adapters.outbox import SOURCE, Bell, Outbox
from registry.adapters.relay import Relay
from registry.adapters.store import Store, Transaction
from registry.domain.stream_epoch import StreamEpoch
from registry.handlers.alarms import Alarms
from registry.handlers.stream_watch import LANE_PARKED, STREAM_LOST, StreamWatch
from tests.unit.registry.samples import NOON

ResultT = TypeVar("ResultT")

pytestmark = pytest.mark.asyncio

MIGRATIONS = Path(registry.__file__).parent / "migrations"


def noon() -> datetime:
    return NOON


class Broker(JetStream):
    """Streams by name with their last sequence, and one consumer of each with what it was given."""

    def __init__(self, **last: int) -> None:
        self.created = "monday"
        self.last = last
        self.delivered: dict[str, int] = {}
        self.fails_of: set[str] = set()
        self.was_reset: list[str] = []

    async def all(self) -> tuple[dict[str, StreamState], frozenset[str]]:
        return {name: StreamState(name, self.created, last) for name, last in self.last.items()}, frozenset()

    async def consumers(self, stream: str) -> list[ConsumerState]:
        if stream in self.fails_of:
            raise TransientError("the stream has no leader")
        return [ConsumerState("reader", self.delivered[stream])] if stream in self.delivered else []

    async def reset(self, stream: str, consumer: str) -> None:
        self.was_reset.append(f"{stream} {consumer}")


class Lanes(Relay):
    def __init__(self) -> None:
        self.is_parked: dict[str, tuple[float, str]] = {}
        self.were_lower: set[str] = set()

    def parked(self) -> dict[str, tuple[float, str]]:
        return self.is_parked

    def lower(self) -> frozenset[str]:
        return frozenset(self.were_lower)

    def restarted(self, stream: str) -> None:
        self.were_lower.discard(stream)


class SometimesLocked(Store):
    """Refuses the next writes, as many as `locked` says."""

    locked = 0

    async def write(
        self, work: Callable[[Transaction], ResultT], *, patience_s: float = 0.0, held: Collection[str] = ()
    ) -> ResultT:
        if self.locked:
            self.locked -= 1
            raise TransientError("the database takes no writes now")
        return await super().write(work, patience_s=patience_s, held=held)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SometimesLocked]:
    database = Database(f"sqlite:///{tmp_path / 'registry.db'}", metrics=CollectorRegistry())
    await database.upgrade(MIGRATIONS)
    yield SometimesLocked(database)
    await database.close()


def a_watch(store: Store, broker: Broker, lanes: Lanes) -> StreamWatch:
    ids = count()
    alarms = Alarms(outbox=Outbox(clock=noon, new_id=lambda: f"{id(ids)}-{next(ids)}"), clock=noon)
    return StreamWatch(store=store, jetstream=broker, relay=lanes, alarms=alarms, bell=Bell(), clock=noon)


async def open_alarms(store: Store) -> set[tuple[str, str]]:
    reasons = {LANE_PARKED, STREAM_LOST}
    found = await store.read(lambda transaction: transaction.alerts.open(source=SOURCE, reasons=reasons))
    return {(item.reason, item.subject) for item in found}


async def epoch(store: Store, stream: str) -> StreamEpoch:
    return (await store.read(lambda transaction: transaction.stream_epochs.all()))[stream]


async def test_a_loss_that_a_process_noted_and_did_not_live_to_refill_ends_with_the_next_process(
    store: SometimesLocked,
) -> None:
    broker = Broker(CERTS=5)
    before = a_watch(store, broker, Lanes())
    await before.look()
    broker.created = "tuesday"
    broker.fails_of = {"CERTS"}
    await before.look()
    assert await open_alarms(store) == {(STREAM_LOST, "CERTS")}
    # As a process that was killed between the note and the refill.
    lost = StreamEpoch("CERTS", "tuesday", 5, NOON)
    await store.write(lambda transaction: transaction.stream_epochs.save(lost))
    broker.fails_of = set()
    after = a_watch(store, broker, Lanes())
    await after.look()
    assert (await epoch(store, "CERTS")).lost_at is None
    await after.look()
    assert await open_alarms(store) == set()


async def test_a_parked_lane_that_another_process_told_is_over_when_its_stream_was_declared_meanwhile(
    store: SometimesLocked,
) -> None:
    lanes, broker = Lanes(), Broker(CERTS=5)
    before = a_watch(store, broker, lanes)
    await before.look()
    lanes.is_parked = {"DEPLOY_fra1": (60.0, "no stream takes it")}
    await before.tell_parked()
    assert await open_alarms(store) == {(LANE_PARKED, "DEPLOY_fra1")}
    broker.last["DEPLOY_fra1"] = 0
    after = a_watch(store, broker, Lanes())
    await after.look()
    await after.tell_parked()
    assert await open_alarms(store) == set()


async def test_consumers_that_could_not_be_mended_are_mended_by_a_later_look(store: SometimesLocked) -> None:
    broker = Broker(CERTS=100)
    watch = a_watch(store, broker, Lanes())
    await watch.look()
    broker.last["CERTS"], broker.delivered["CERTS"], broker.fails_of = 90, 100, {"CERTS"}
    await watch.look()
    # Meanwhile it grows beyond what the consumer was given.
    broker.last["CERTS"], broker.fails_of = 120, set()
    await watch.look()
    assert broker.was_reset == ["CERTS reader"]
    await watch.look()
    assert broker.was_reset == ["CERTS reader"]
    assert (await epoch(store, "CERTS")).lost_at is None


async def test_a_stream_whose_consumers_can_not_be_mended_delays_no_other(store: SometimesLocked) -> None:
    broker = Broker(DEPLOY_ams1=100, DEPLOY_fra1=100)
    watch = a_watch(store, broker, Lanes())
    await watch.look()
    broker.last.update(DEPLOY_ams1=90, DEPLOY_fra1=90)
    broker.fails_of = {"DEPLOY_ams1"}
    await watch.look()
    assert (await epoch(store, "DEPLOY_fra1")).lost_at is None
    assert (await epoch(store, "DEPLOY_ams1")).lost_at == NOON


async def test_a_lower_acknowledgement_is_not_forgotten_where_the_loss_could_not_be_noted(
    store: SometimesLocked,
) -> None:
    lanes, broker = Lanes(), Broker(CERTS=100)
    watch = a_watch(store, broker, lanes)
    await watch.look()
    # Rewound, and grown beyond what it held before anybody looked.
    broker.last["CERTS"], lanes.were_lower, store.locked = 130, {"CERTS"}, 1
    with pytest.raises(TransientError):
        await watch.look()
    await watch.look()
    assert await open_alarms(store) == {(STREAM_LOST, "CERTS")}
    await watch.look()
    assert await open_alarms(store) == set()


async def test_streams_that_are_lost_together_have_each_event_published_again_once(store: SometimesLocked) -> None:
    broker = Broker(CERTS=5, DEPLOY_fra1=5, LAST_fra1=5, LAST_hub=5, STATUS_fra1=5)
    watch = a_watch(store, broker, Lanes())
    await watch.look()

    def publish(transaction: Transaction) -> None:
        expected = EndpointsExpected(
            certificate_id="c1", name="x", owner="shop", generation=1, revision=1, endpoints=()
        )
        ordered = DeploymentOrdered(certificate_id="c1", name="x", placements=())
        for event, stream, subject in (
            (expected, subjects.CERTS, subjects.event(expected.type, "c1")),
            (ordered, "DEPLOY_fra1", subjects.deploy("fra1", "syncer", "c1")),
        ):
            transaction.events.add(
                event,
                event_id=event.type,
                source=SOURCE,
                stream=stream,
                subject=subject,
                about="c1",
                owner="shop",
                now=NOON,
                traceparent=None,
                sent=True,
            )

    await store.write(publish)
    broker.created = "tuesday"
    await watch.look()

    def repeats(transaction: Transaction) -> dict[str, int]:
        found = transaction.events.after(0, 100)
        return {item.type: item.repeats for item in found if item.about == "c1"}

    assert await store.read(repeats) == {EndpointsExpected.type: 1, DeploymentOrdered.type: 1}
    # A stream that is lost alone later has it published once more.
    broker.last["LAST_hub"] = 0
    await watch.look()
    assert await store.read(repeats) == {EndpointsExpected.type: 2, DeploymentOrdered.type: 1}
