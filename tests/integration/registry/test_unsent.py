"""What the relay reads of the outbox: of a few events the same at one look as in turns."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from certcore import subjects
from certcore.clock import system_clock
from certcore.events import CertificateLive
from registry.adapters.store import Store, Transaction
from registry.adapters.unsent import Room, find_unsent
from registry.app import MIGRATIONS
from tests.integration.registry.world import a_database

pytestmark = pytest.mark.integration

STREAMS: Final = (subjects.CERTS, subjects.ALERTS, subjects.deploy_stream("site1"), subjects.answers_stream("shop"))
OWNERS: Final = ("bank", "maps", "shop")


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = a_database(f"sqlite:///{tmp_path / 'registry.db'}")
    await database.upgrade(MIGRATIONS)
    yield Store(database)
    await database.close()


def add(transaction: Transaction, number: int, choice: random.Random) -> None:
    event = CertificateLive(certificate_id="c", name="c", owner="shop", revision=number, fingerprint_sha256="f")
    transaction.events.add(
        event,
        event_id=f"e{number}",
        source="test",
        stream=choice.choice(STREAMS),
        subject="certs.ev.live.c",
        about="c",
        owner=choice.choice(OWNERS),
        now=system_clock(),
        traceparent=None,
        sent=choice.random() < 0.3,
    )


def a_room(transaction: Transaction, stream: str, choice: random.Random) -> Room:
    """Some of what is unsent is in the lane already; of it, some may be marked to be published again since."""
    known: dict[str, frozenset[tuple[int, int]]] = {}
    for owner in OWNERS:
        keys = transaction.events.unsent(stream, owner, limit=100)
        known[owner] = frozenset((sequence, choice.choice((repeats, repeats + 1))) for sequence, repeats in keys[:2])
    return Room({owner: len(keys) for owner, keys in known.items()}, known)


@pytest.mark.parametrize("seed", range(20))
async def test_a_few_events_are_the_same_at_one_look_as_in_turns(store: Store, seed: int) -> None:
    choice = random.Random(seed)

    def fill(transaction: Transaction) -> None:
        for number in range(choice.randrange(30)):
            add(transaction, number, choice)

    await store.write(fill)

    def both(transaction: Transaction) -> None:
        rooms = {stream: a_room(transaction, stream, choice) for stream in STREAMS[:3]}
        full = {stream for stream in STREAMS[:3] if choice.random() < 0.3}
        at_once = find_unsent(rooms, full, 1024, transaction)
        in_turns = find_unsent(rooms, full, 1024, transaction, few=-1)
        assert at_once == in_turns

    await store.read(both)
