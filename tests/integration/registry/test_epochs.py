"""The row of the database itself, and what the issuer reported, on both kinds of database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest
import pytest_asyncio
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from certcore.api import IssuedRevision
from certcore.placements import generation
from registry.adapters.store import RowChangedError, Transaction
from tests.authority import Authority
from tests.integration.registry.world import MIGRATIONS, NOON, World, a_database
from tests.postgres_server import database

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with database(request.param, tmp_path_factory.mktemp("epochs")) as url:
        opened = a_database(url)
        await opened.upgrade(MIGRATIONS)
        world = World(opened)
        await world.begin()
        yield world
        await opened.close()


def reported(certificate_id: str, number: int) -> IssuedRevision:
    return IssuedRevision(
        certificate_id=certificate_id,
        revision=number,
        serial="ab",
        fingerprint_sha256=f"f{number}",
        not_before=NOON,
        not_after=NOON + timedelta(days=30),
    )


async def test_an_epoch_begins_once_raises_every_generation_and_waits_for_the_issuer(made: World) -> None:
    before = await made.rollout()
    position = await made.store.read(lambda transaction: transaction.epochs.position(NOON))
    assert position.epoch == 0
    assert position.event_sequence > 0
    assert position.audit_sequence > 0

    def begin(transaction: Transaction) -> bool:
        return transaction.epochs.begin(2, reason="a copy", now=NOON)

    assert await made.store.write(begin)
    assert not await made.store.write(begin)
    epoch = await made.store.read(lambda transaction: transaction.epochs.present())
    assert (epoch.number, epoch.waiting, epoch.began_at, epoch.reason) == (2, True, NOON, "a copy")
    assert epoch.database_id == position.database_id
    after = await made.rollout()
    assert after.certificate.next_generation == generation(2, 1)
    # Who read a certificate before decides again.
    with pytest.raises(RowChangedError):
        await made.store.write(lambda transaction: transaction.certificates.save(before.certificate))

    assert await made.store.write(lambda transaction: transaction.epochs.end_waiting(2))
    assert not await made.store.write(lambda transaction: transaction.epochs.end_waiting(2))
    await made.issue(Authority())
    [placement, *_] = (await made.rollout()).placements
    assert placement.generation == generation(2, 1)


async def test_what_was_reported_is_kept_once_and_the_unknown_is_told(made: World) -> None:
    known, lost, unnameable = made.certificate_id, "lost", "x" * 37

    def keep(transaction: Transaction) -> None:
        transaction.reported.keep([reported(known, 1), reported(lost, 2), reported(lost, 1), reported(unnameable, 1)])

    await made.store.write(keep)
    await made.store.write(keep)
    ids = await made.store.read(lambda transaction: transaction.reported.certificates(after="", limit=10))
    assert ids == sorted([known, lost])
    unknown = await made.store.read(lambda transaction: transaction.reported.unknown(limit=10))
    assert unknown == [reported(lost, 1), reported(lost, 2)]

    def has(transaction: Transaction) -> list[bool]:
        return [transaction.reported.has(known, 1, "platform", leaf) for leaf in ("f1", "f2")]

    assert await made.store.read(has) == [True, False]
    # Another epoch begins with nothing reported.
    await made.store.write(lambda transaction: transaction.epochs.begin(9, reason="", now=NOON))
    assert await made.store.read(lambda transaction: transaction.reported.certificates(after="", limit=10)) == []


async def test_many_writers_at_once_leave_chains_without_a_hole(made: World) -> None:
    before = (await made.proof()).entries

    def note(number: int, transaction: Transaction) -> None:
        transaction.audit.note("ana", "look", f"x{number}", "", NOON)
        if number % 4 == 0:
            raise ValueError("changed its mind")

    written = (made.store.write(partial(note, number)) for number in range(40))
    done = await asyncio.gather(*written, return_exceptions=True)
    assert done.count(None) == 30
    proof = await made.proof()
    assert proof.findings == ()
    assert proof.entries == before + 30


async def test_no_statement_changes_what_was_audited(made: World) -> None:
    for statement in ("UPDATE audit SET actor = 'ben'", "DELETE FROM audit"):
        with pytest.raises(DBAPIError, match="only appended to"):
            await made.database.write(partial(_execute, statement))


def _execute(statement: str, connection: Connection) -> None:
    connection.execute(text(statement))
