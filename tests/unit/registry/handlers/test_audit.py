"""Against a real database: what is noted is chained, can't be changed, and is exported whole."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

import registry
from certcore.audit import Way
from certcore.audit_proof import AuditProof, FindingReason, prove
from certcore.errors import TransientError
from certcore.events import RegistryAnchored
from certkit.transactions import Database
from registry.adapters.anchors import AnchorFile
from registry.adapters.store import Store, Transaction
from registry.adapters.store.audit import AuditFilter
from registry.handlers.audit import AuditReading
from tests.unit.registry.samples import NOON

pytestmark = pytest.mark.asyncio

MIGRATIONS = Path(registry.__file__).parent / "migrations"


class Torn:
    name = "stream"

    async def until_now(self, database_id: str) -> AsyncIterator[RegistryAnchored]:
        return self._broken(database_id)

    async def _broken(self, database_id: str) -> AsyncIterator[RegistryAnchored]:
        raise TransientError(f"nobody knows {database_id}")
        yield


class Home:
    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'registry.db'}", metrics=CollectorRegistry())
        self.store = Store(self.database)
        self.file = AnchorFile(folder)

    async def note(self, number: int) -> None:
        def work(transaction: Transaction) -> None:
            instant = NOON + timedelta(seconds=number)
            actor = "ana" if number % 3 else "b\ud800\x00en" + "n" * 200
            transaction.audit.note(actor, "look", f"x{number % 2}", "", instant, way=Way.TOKEN, roles={"b", "a"})
            if number % 5 == 4:
                raise ValueError("changed its mind")

        await self.store.write(work)

    async def anchor(self) -> None:
        await self.file.keep(await self.store.read(lambda transaction: transaction.epochs.position(NOON)))

    async def proof(self, *places: Any) -> AuditProof:
        reading = AuditReading(store=self.store, places=[self.file, *places], clock=self.clock)
        whole = b"".join([part async for part in await reading.export()])
        return prove(whole.splitlines(keepends=True))

    async def tamper(self, *statements: str) -> None:
        def work(connection: Connection) -> None:
            for change in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER audit_no_{change}"))
            for statement in statements:
                connection.execute(text(statement))

        await self.database.write(work)

    @staticmethod
    def clock() -> datetime:
        return NOON


@pytest_asyncio.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    made = Home(tmp_path)
    await made.database.upgrade(MIGRATIONS)
    # Many at once: they are committed in groups, and some of a group are undone.
    done = await asyncio.gather(*map(made.note, range(50)), return_exceptions=True)
    assert sum(isinstance(item, ValueError) for item in done) == 10
    yield made
    await made.database.close()


async def test_what_was_undone_leaves_no_hole(home: Home) -> None:
    await home.anchor()
    await home.note(0)
    proof = await home.proof()
    assert proof.findings == ()
    assert (proof.entries, proof.anchors) == (41, 1)
    assert [head.number for head in proof.anchored] == [40]


@pytest.mark.parametrize("change", ["UPDATE audit SET detail = 'x'", "DELETE FROM audit WHERE number = 7"])
async def test_no_statement_changes_an_entry(home: Home, change: str) -> None:
    with pytest.raises(DBAPIError, match="only appended to"):
        await home.database.write(lambda connection: connection.execute(text(change)))
    assert (await home.proof()).holds()


@pytest.mark.parametrize(
    ("statement", "reason", "number"),
    [
        ("UPDATE audit SET actor = 'ben' WHERE number = 7", FindingReason.EDITED, 7),
        ("DELETE FROM audit WHERE number IN (7, 8)", FindingReason.MISSING, 9),
        ("DELETE FROM audit WHERE number > 30", FindingReason.TRUNCATED, 40),
        ("UPDATE audit SET number = -number; UPDATE audit SET number = 41 + number", FindingReason.EDITED, 1),
    ],
)
async def test_what_was_done_to_the_rows_shows_in_an_export(
    home: Home, statement: str, reason: FindingReason, number: int
) -> None:
    await home.anchor()
    await home.tamper(*statement.split(";"))
    first = (await home.proof()).findings[0]
    assert (first.reason, first.number) == (reason, number)


async def test_a_place_that_can_t_be_read_is_told_in_the_export(home: Home) -> None:
    await home.anchor()
    proof = await home.proof(Torn())
    [found] = proof.findings
    assert found.reason is FindingReason.UNREAD
    assert found.detail.startswith("stream: nobody knows ")
    assert proof.anchors == 1


async def test_pages_come_newest_first_and_have_all_that_is_asked_for(home: Home) -> None:
    wanted = AuditFilter(
        actor="ana", object="x1", since=NOON + timedelta(seconds=5), until=NOON + timedelta(seconds=40)
    )
    expected = [n for n in range(39, 4, -1) if n % 3 and n % 2 and n % 5 != 4]
    found: list[float] = []
    before: int | None = None
    while page := await home.store.read(partial(_page, wanted, before)):
        found += [(entry.time - NOON).total_seconds() for _, entry in page]
        before = page[-1][0]
    assert found == expected
    [(_, newest)] = await home.store.read(
        lambda transaction: transaction.audit.page(AuditFilter(), before=None, limit=1)
    )
    assert (newest.way, newest.roles, newest.number) == ("token", "a, b", 40)


def _page(wanted: AuditFilter, before: int | None, transaction: Transaction) -> Any:
    return transaction.audit.page(wanted, before=before, limit=3)
