"""The log of events against a real database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

import registry
from certcore import subjects
from certcore.events import CertificateLive
from certkit.transactions import Database
from registry.adapters.outbox import SOURCE
from registry.adapters.store import Store, Transaction
from tests.unit.registry.samples import NOON

pytestmark = pytest.mark.asyncio

MIGRATIONS = Path(registry.__file__).parent / "migrations"


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = Database(f"sqlite:///{tmp_path / 'registry.db'}", metrics=CollectorRegistry())
    await database.upgrade(MIGRATIONS)
    yield Store(database)
    await database.close()


def add(transaction: Transaction, event_id: str, *, stream: str, about: str, sent: bool) -> None:
    place = stream.removeprefix(subjects.DEPLOY)
    is_deployment = stream.startswith(subjects.DEPLOY)
    transaction.events.add(
        CertificateLive(certificate_id=about, name="x", owner="shop", revision=1, fingerprint_sha256="0" * 64),
        event_id=event_id,
        source=SOURCE,
        stream=stream,
        subject=subjects.deploy(place, "syncer", about)
        if is_deployment
        else subjects.event(CertificateLive.type, about),
        about=about,
        owner="shop",
        now=NOON,
        traceparent=None,
        sent=sent,
    )


def unsent(transaction: Transaction) -> dict[str, int]:
    """Repeats by id."""
    return {item.id: item.repeats for item in transaction.events.after(0, 100) if _waits(transaction, item.sequence)}


def _waits(transaction: Transaction, sequence: int) -> bool:
    streams = transaction.events.streams_unsent()
    return any(
        sequence == found for stream in streams for found, _ in transaction.events.unsent(stream, "shop", limit=100)
    )


async def test_a_deployment_that_was_replaced_since_it_was_selected_is_not_published_over_the_newer_one(
    store: Store,
) -> None:
    def work(transaction: Transaction) -> dict[str, int]:
        add(transaction, "older", stream="DEPLOY_fra1", about="c-1", sent=True)
        add(transaction, "other", stream="DEPLOY_fra1", about="c-2", sent=True)
        add(transaction, "event", stream=subjects.CERTS, about="c-1", sent=True)
        selected = [item.sequence for item in transaction.events.after(0, 100)]
        add(transaction, "newer", stream="DEPLOY_fra1", about="c-1", sent=True)
        add(transaction, "event again", stream=subjects.CERTS, about="c-1", sent=True)
        transaction.events.publish_again(selected)
        return unsent(transaction)

    assert await store.write(work) == {"other": 1, "event": 1}


async def test_what_is_ordered_again_while_it_is_in_flight_is_not_marked_by_the_earlier_answer(store: Store) -> None:
    def work(transaction: Transaction) -> list[dict[str, int]]:
        add(transaction, "one", stream=subjects.CERTS, about="c-1", sent=False)
        [event] = transaction.events.after(0, 100)
        transaction.events.publish_again([event.sequence])
        transaction.events.mark_sent([(event.sequence, 0)], NOON)
        before = unsent(transaction)
        transaction.events.mark_sent([(event.sequence, 1)], NOON)
        return [before, unsent(transaction)]

    assert await store.write(work) == [{"one": 1}, {}]
