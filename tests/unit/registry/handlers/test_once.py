"""A report is handled once, and wakes whoever waits for events only where it wrote any."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

import registry
from certcore.cloudevents import Envelope
from certcore.events import Event, RevisionStarted
from certcore.subjects import Reporter, route
from certkit.transactions import Database
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.handlers.reports.once import Once
from tests.unit.registry.announcing import announce
from tests.unit.registry.samples import NOON

pytestmark = pytest.mark.asyncio

MIGRATIONS = Path(registry.__file__).parent / "migrations"
REPORT = RevisionStarted(certificate_id="a", revision=1, ca="ca")


class CountingBell(Bell):
    rings = 0

    def ring(self) -> None:
        self.rings += 1
        super().ring()


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = Database(f"sqlite:///{tmp_path / 'registry.db'}", metrics=CollectorRegistry())
    await database.upgrade(MIGRATIONS)
    yield Store(database)
    await database.close()


def envelope(event_id: str, service: str = "issuer") -> Envelope:
    subject = route(REPORT, place="hub", service=service, about="a").subject
    return Envelope(id=event_id, type=REPORT.type, source=f"certbus/{service}", subject=subject)


def tell(transaction: Transaction, _: Event, __: Reporter) -> None:
    announce(transaction, "one")


async def test_a_report_that_announces_something_rings_once_however_often_it_comes(store: Store) -> None:
    bell = CountingBell()
    handle = Once(store=store, bell=bell, clock=lambda: NOON).handler(tell)
    for _ in range(3):
        await handle(REPORT, envelope("a"))
    assert bell.rings == 1


async def test_a_report_that_announces_nothing_wakes_nobody(store: Store) -> None:
    bell = CountingBell()
    handle = Once(store=store, bell=bell, clock=lambda: NOON).handler(lambda *_: None)
    await handle(REPORT, envelope("a"))
    assert bell.rings == 0


async def test_one_of_two_reports_under_one_id_that_come_together_counts(store: Store) -> None:
    seen: list[Event] = []
    handle = Once(store=store, bell=Bell(), clock=lambda: NOON).handler(lambda _, event, __: seen.append(event))
    await asyncio.gather(*(handle(REPORT, envelope("a")) for _ in range(5)))
    assert seen == [REPORT]


async def test_an_id_is_its_reporter_s_own(store: Store) -> None:
    seen: list[Event] = []
    handle = Once(store=store, bell=Bell(), clock=lambda: NOON).handler(lambda _, event, __: seen.append(event))
    for service in ("issuer", "another"):
        await handle(REPORT, envelope("a", service))
    assert len(seen) == 2
