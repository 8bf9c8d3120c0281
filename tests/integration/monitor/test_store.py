"""The monitor's own tables, made by its migrations."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from certcore.events import AlertUpdated
from certkit.transactions import Database
from monitor.adapters.store import Announcement, Store
from monitor.adapters.tables import metadata
from monitor.domain.alerting import AlertEvent, resolution
from monitor.domain.watched import EndpointRecord
from tests.integration.monitor.monitor_database import monitor_database
from tests.unit.monitor.expectations import NOON, URL, expected, raised

pytestmark = pytest.mark.integration

RECORD = EndpointRecord(certificate_id="c1", url=URL, ever_served=True, bad_looks=2)
ALERT = raised(now=NOON)


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with monitor_database(tmp_path) as made:
        yield made


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


async def test_the_migrations_make_the_schema_that_the_code_speaks_of(database: Database) -> None:
    def difference(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert await database.read(difference) == []


async def test_records_that_are_saved_at_the_same_time_share_commits(tmp_path: Path) -> None:
    metrics = CollectorRegistry()
    async with monitor_database(tmp_path, metrics) as database:
        store = Store(database)
        records = [RECORD.model_copy(update={"certificate_id": f"c{number}"}) for number in range(200)]
        await asyncio.gather(*(store.save_record(record) for record in records))
        _, loaded = await store.load()
    assert len(loaded) == 200
    commits = metrics.get_sample_value("certbus_database_commits_total")
    assert commits is not None
    assert commits < 20


async def test_what_was_saved_is_loaded_as_it_was(store: Store) -> None:
    for wanted in (1, 2):
        await store.save_expected(expected(wanted))
    for record in (RECORD, RECORD.model_copy(update={"alert": ALERT})):
        await store.save_record(record)
    assert await store.load() == ([expected(2)], [RECORD.model_copy(update={"alert": ALERT})])


def updated(after: timedelta) -> AlertUpdated:
    return AlertUpdated(**ALERT.model_dump(), updated_at=NOON + after)


def test_each_step_of_an_alert_has_an_id_of_its_own_and_keeps_it() -> None:
    again = ALERT.model_copy(update={"since": NOON + timedelta(hours=1)})
    steps: list[AlertEvent] = [
        ALERT,
        updated(timedelta(seconds=1)),
        updated(timedelta(seconds=2)),
        resolution(ALERT, now=NOON),
        again,
        resolution(again, now=NOON),
    ]
    ids = [Announcement.of(step).event_id for step in steps]
    assert len(set(ids)) == len(steps)
    assert ids == [Announcement.of(type(step).model_validate_json(step.model_dump_json())).event_id for step in steps]
    assert {len(event_id) for event_id in ids} == {64}


async def test_alerts_leave_in_order_and_once(store: Store) -> None:
    steps = [Announcement.of(step) for step in (ALERT, updated(timedelta(0)), resolution(ALERT, now=NOON))]
    for step in steps:
        await store.save_record(RECORD, [step])
    assert await store.unsent() == steps
    await store.sent(steps[0])
    assert await store.unsent() == steps[1:]


async def test_what_is_dropped_is_gone_but_for_what_is_still_to_be_published(store: Store) -> None:
    await store.save_expected(expected())
    await store.save_record(RECORD)
    resolved = Announcement.of(resolution(ALERT, now=NOON))
    await store.drop_records([RECORD.key], [resolved])
    await store.drop_expected("c1")
    assert await store.load() == ([], [])
    assert await store.unsent() == [resolved]
