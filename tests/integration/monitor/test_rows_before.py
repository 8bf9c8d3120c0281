"""A database of the monitor from before there were generations is read on: `before/rows.json` is what it held."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, insert

from certcore.events import AlertRaised, AlertResolved, AlertUpdated, EndpointsExpectedV1, ServingVerdict, Severity
from certkit.database import make_engine
from monitor.adapters.store import Store
from monitor.adapters.tables import announcement, endpoint, expectation
from monitor.domain.alerting import Reason, decide
from monitor.domain.roster import News, Roster
from monitor.domain.watched import Rollout
from tests.integration.monitor.monitor_database import MIGRATIONS, monitor_database
from tests.unit.monitor.expectations import NOON, URL, look

pytestmark = pytest.mark.integration

ROWS: Final[dict[str, list[dict[str, Any]]]] = json.loads(
    (Path(__file__).parent / "before" / "rows.json").read_text()
)
OTHER_URL: Final = "https://www.example.org:8443"
OLD_ID: Final = next(row["body"]["alert"]["alert_id"] for row in ROWS["endpoint"] if row["body"]["alert"])
GRACE: Final = timedelta(minutes=5)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    def fill(connection: Connection) -> None:
        configuration = Config()
        configuration.set_main_option("script_location", str(MIGRATIONS))
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "0001")
        for table in (expectation, endpoint, announcement):
            connection.execute(insert(table), ROWS[table.name])

    engine = make_engine(f"sqlite:///{tmp_path}/monitor.db")
    with engine.begin() as connection:
        fill(connection)
    engine.dispose()
    async with monitor_database(tmp_path) as database:
        yield Store(database)


async def test_expectations_become_those_of_today(store: Store) -> None:
    expected, _ = await store.load()
    bodies = [row["body"] for row in ROWS["expectation"]]
    assert [item.event for item in expected] == [
        EndpointsExpectedV1.model_validate(body["event"]).upgraded() for body in bodies
    ]
    assert expected[0].rollouts == {
        URL: Rollout(generation=2, since=NOON),
        OTHER_URL: Rollout(generation=2, since=NOON),
    }


async def test_a_proof_is_not_made_again(store: Store) -> None:
    expected, records = await store.load()
    roster = Roster()
    roster.remember(expected, records, now=NOON)
    watch = roster.watch(("c1", URL))
    assert watch is not None
    assert watch.record.observed is not None
    assert (watch.record.observed.verdict, watch.record.ever_served) == (ServingVerdict.WANTED, True)
    # The registry of today publishes the same with a generation of its own.
    event = expected[0].event.model_copy(update={"generation": (1 << 32) + 7})
    assert roster.expect(event, now=NOON + GRACE, asked=True) is News.CHANGED
    now = roster.expected("c1")
    assert now is not None
    assert now.rollouts[URL].generation == watch.record.proven_generation == 2


async def test_an_open_alert_goes_on_under_its_id_and_ends_once(store: Store) -> None:
    expected, records = await store.load()
    [record] = [record for record in records if record.alert is not None]
    assert (record.url, record.bad_looks) == (OTHER_URL, 2)
    steps = []
    for number, verdict in enumerate([ServingVerdict.OTHER, ServingVerdict.OTHER, ServingVerdict.WANTED], start=1):
        now = NOON + timedelta(hours=number)
        decision = decide(record, look(verdict), expected=expected[0], now=now, grace=GRACE)
        record = decision.record
        steps.append((decision.reason, decision.announcement))
    assert [reason for reason, _ in steps] == [Reason.STILL_OPEN, Reason.UPDATED, Reason.RESOLVED]
    assert steps[0][1] is None
    updated, resolved = steps[1][1], steps[2][1]
    assert isinstance(updated, AlertUpdated)
    assert isinstance(resolved, AlertResolved)
    for event in (updated, resolved):
        assert (event.alert_id, event.since, event.subject) == (OLD_ID, NOON, OTHER_URL)
    assert record.alert is None


async def test_alerts_that_were_not_published_yet_leave_under_their_event_ids(store: Store) -> None:
    unsent = await store.unsent()
    assert [item.event_id for item in unsent] == [row["event_id"] for row in ROWS["announcement"]]
    raised, resolved = (item.event for item in unsent)
    assert isinstance(raised, AlertRaised)
    assert isinstance(resolved, AlertResolved)
    assert (raised.alert_id, raised.subject, raised.severity) == (OLD_ID, OTHER_URL, Severity.WARNING)
    assert (resolved.url, resolved.severity, resolved.resolved_at) == (URL, Severity.CRITICAL, NOON)
