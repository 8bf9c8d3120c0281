"""Against a real database, and places that keep what they get."""

from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from sqlalchemy import text

import registry
from certcore.errors import TransientError
from certcore.events import RegistryAnchored
from certkit.transactions import Database
from registry.adapters.anchors import AnchorFile, AnchorPlace
from registry.adapters.outbox import Bell, Outbox
from registry.adapters.store import Store, Transaction
from registry.handlers.alarms import Alarms
from registry.handlers.anchoring import ALARM, Anchoring
from tests.unit.registry.samples import NOON

pytestmark = pytest.mark.asyncio

MIGRATIONS = Path(registry.__file__).parent / "migrations"


class Kept:
    def __init__(self) -> None:
        self.anchors: list[RegistryAnchored] = []

    async def found(self, database_id: str) -> list[RegistryAnchored]:
        return [anchor for anchor in self.anchors if anchor.database_id == database_id]

    async def keep(self, anchor: RegistryAnchored) -> None:
        self.anchors.append(anchor)


class Away(Kept):
    async def keep(self, anchor: RegistryAnchored) -> None:
        raise TransientError(f"no room for {anchor.database_id}")


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = Database(f"sqlite:///{tmp_path / 'registry.db'}", metrics=CollectorRegistry())
    await database.upgrade(MIGRATIONS)
    yield Store(database)
    await database.close()


def noon() -> datetime:
    return NOON


def anchoring(store: Store, *places: AnchorPlace) -> Anchoring:
    alarms = Alarms(outbox=Outbox(clock=noon, new_id=count(1).__str__), clock=noon)
    return Anchoring(store=store, places=places, alarms=alarms, bell=Bell(), clock=noon)


async def test_an_anchor_says_how_far_the_database_came(store: Store) -> None:
    kept = Kept()
    rounds = anchoring(store, kept)
    await rounds.anchor()
    await store.write(lambda transaction: transaction.audit.note("ana", "look", "x", "", NOON))
    await rounds.anchor()
    first, second = kept.anchors
    assert first == first.model_copy(update={"epoch": 0, "event_sequence": 0, "audit_sequence": 0})
    heads = await store.read(lambda transaction: transaction.audit.heads())
    assert [head.number for head in heads] == [1]
    assert second == first.model_copy(update={"audit_sequence": 1, "audit_heads": tuple(heads)})


async def test_an_anchored_entry_that_is_another_one_now_is_an_alert(store: Store) -> None:
    kept = Kept()
    for number in range(3):
        await store.write(partial(note, f"look {number}"))
    await anchoring(store, kept).anchor()
    await store.write(partial(tamper, "UPDATE audit SET actor = 'ben', hash = 'x' WHERE number = 3"))
    # Another process finds it too, by what it reads in the places.
    rounds = anchoring(store, kept)
    await rounds.anchor()
    await rounds.anchor()
    [alert] = await store.read(lambda transaction: transaction.alerts.page(limit=9, is_open=True))
    assert (alert.reason, alert.severity) == (ALARM, "critical")
    assert alert.summary.startswith("audit entry 1/3 was anchored")


def note(what: str, transaction: Transaction) -> None:
    transaction.audit.note("ana", "look", what, "", NOON)


def tamper(statement: str, transaction: Transaction) -> None:
    connection = transaction.audit._connection  # noqa: SLF001 # nobody else may do this
    connection.execute(text("DROP TRIGGER IF EXISTS audit_no_update"))
    connection.execute(text(statement))


async def test_one_place_is_enough_and_none_is_a_failure(store: Store) -> None:
    kept = Kept()
    await anchoring(store, Away(), kept).anchor()
    assert len(kept.anchors) == 1
    nowhere = anchoring(store, Away())
    with pytest.raises(TransientError, match="no room for"):
        await nowhere.anchor()
    await nowhere.anchor_at_the_end()


async def test_the_file_is_replaced_as_a_whole_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    file = AnchorFile(tmp_path / "state")
    anchor = RegistryAnchored(database_id="d", epoch=1, event_sequence=2, audit_sequence=3, anchored_at=NOON)
    assert await file.found("d") == []
    await file.keep(anchor)
    await file.keep(anchor.model_copy(update={"event_sequence": 4}))
    assert [found.event_sequence for found in await file.found("d")] == [4]
    [path] = (tmp_path / "state").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{")
    assert await file.found("d") == []
