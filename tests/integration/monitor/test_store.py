"""The monitor's own tables, made by its migrations."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

import monitor
from certcore.events import ServingVerdict
from certkit.database import make_engine, upgrade
from monitor.adapters.store import Announcement, Store
from monitor.adapters.tables import metadata
from monitor.domain.alerting import alert_of, resolution
from monitor.domain.watched import EndpointRecord
from tests.unit.monitor.expectations import NOON, URL, expected, look

pytestmark = pytest.mark.integration

MIGRATIONS = Path(monitor.__file__).parent / "migrations"
RECORD = EndpointRecord(certificate_id="c1", url=URL, ever_served=True, episode=1)
ALERT = alert_of(RECORD, look(ServingVerdict.OTHER), expected(), severity="warning", now=NOON)


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(f"sqlite+aiosqlite:///{tmp_path}/monitor.db")
    await upgrade(engine, MIGRATIONS)
    yield engine
    await engine.dispose()


async def test_the_migrations_make_the_schema_that_the_code_speaks_of(engine: AsyncEngine) -> None:
    def difference(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(difference) == []


async def test_what_was_saved_is_loaded_as_it_was(engine: AsyncEngine) -> None:
    store = Store(engine)
    for wanted in (1, 2):
        await store.save_expected(expected(wanted))
    for record in (RECORD, RECORD.model_copy(update={"alert": ALERT})):
        await store.save_record(record)
    assert await store.load() == ([expected(2)], [RECORD.model_copy(update={"alert": ALERT})])


async def test_alerts_leave_in_order_and_once(engine: AsyncEngine) -> None:
    store = Store(engine)
    raised, resolved = Announcement(ALERT), Announcement(resolution(ALERT, now=NOON))
    await store.save_record(RECORD, [raised])
    await store.save_record(RECORD, [resolved])
    assert await store.unsent() == [raised, resolved]
    assert raised.event_id != resolved.event_id
    await store.sent(raised)
    assert await store.unsent() == [resolved]


async def test_what_is_dropped_is_gone_but_for_what_is_still_to_be_told(engine: AsyncEngine) -> None:
    store = Store(engine)
    await store.save_expected(expected())
    await store.save_record(RECORD)
    resolved = Announcement(resolution(ALERT, now=NOON))
    await store.drop_records([RECORD.key], [resolved])
    await store.drop_expected("c1")
    assert await store.load() == ([], [])
    assert await store.unsent() == [resolved]
