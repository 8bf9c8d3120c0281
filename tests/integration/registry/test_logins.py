"""What is kept of logins: failed ones, last uses, who made whose tokens; the registry's own objects, no process."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from sqlalchemy import Row, Table, select
from starlette.requests import Request
from starlette.types import Message

from certcore.api import Role
from registry.adapters import tables
from registry.adapters.outbox import Bell
from registry.adapters.store import Transaction
from registry.domain.access import Party, Principal, same_person
from registry.domain.errors import ConflictError, TooManyError
from registry.handlers.feed import Feed
from registry.handlers.first_token import make_first_token
from registry.handlers.http.auth import Authenticator, hash_token
from registry.handlers.http.events_api import events_router
from registry.handlers.http.followed import Followed
from registry.handlers.http.limits import Limits
from registry.handlers.http.problems import UnauthorizedError
from registry.handlers.logins import Logins
from registry.handlers.replay import Replays
from registry.settings import LimitSettings
from tests.integration.registry.world import NOON, World, a_database, schema
from tests.patience import HANG_S

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

GUESSED = "guessed"
ROOT = Principal("root", "platform", frozenset({Role.ADMIN}))


class Seats:
    """Logins of a registry of its own, whose waits only are noted."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.waits: list[float] = []
        self.metrics = CollectorRegistry()
        self.logins = Logins(
            store=world.store,
            clock=world.clock,
            metrics=self.metrics,
            longest_delay_s=5.0,
            sleep=self._sleep,
        )
        self.authenticator = Authenticator(
            store=world.store, clock=world.clock, logins=self.logins, rights=world.rights
        )
        self.acts = world.tokens
        self.meanwhile: list[str] = []

    async def _sleep(self, delay_s: float) -> None:
        self.waits.append(delay_s)
        # Who comes from the same address meanwhile.
        for token in self.meanwhile:
            assert (await self.shown(token)).subject == "ana"

    async def add(self, token: str, principal: Principal, *, expires_at: datetime | None = None) -> None:
        await self.world.store.write(
            lambda transaction: transaction.tokens.add(
                hash_token(token), principal, now=self.world.now, expires_at=expires_at
            )
        )

    async def shown(self, token: str, address: str = "192.0.2.7") -> Principal:
        return await self.authenticator.caller(Request(self.scope(token, address)))

    def scope(self, token: str, address: str = "192.0.2.7") -> dict[str, Any]:
        return {
            "type": "http",
            "method": "GET",
            "client": (address, 1),
            "headers": [(b"authorization", f"Bearer {token}".encode())],
        }

    async def fail(self, times: int, *, shown: str = GUESSED, address: str = "192.0.2.7") -> None:
        for _ in range(times):
            with pytest.raises(UnauthorizedError):
                await self.shown(shown, address)

    async def rows(self, table: Table) -> Sequence[Row[Any]]:
        return await self.world.database.read(lambda connection: connection.execute(select(table)).all())

    def failed(self, reason: str) -> float | None:
        return self.metrics.get_sample_value("certbus_failed_logins_total", {"reason": reason})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return await schema(tmp_path_factory.mktemp("logins"))


@pytest_asyncio.fixture(loop_scope="module")
async def seats(empty: Path, tmp_path: Path) -> AsyncIterator[Seats]:
    path = shutil.copy(empty, tmp_path / "registry.db")
    database = a_database(f"sqlite:///{path}")
    try:
        yield Seats(World(database))
    finally:
        await database.close()


async def test_failed_logins_are_slowed_counted_and_noted_in_one_row(seats: Seats) -> None:
    await seats.add("valid", Principal("ana", "shop", frozenset({Role.VIEWER})))
    await seats.add("old", Principal("ana", "shop", frozenset()), expires_at=NOON)
    seats.meanwhile = ["valid"]
    await seats.fail(5)
    await seats.fail(1, shown="old")
    # Nobody else waits: neither a valid token of this address, nor a mistake of another one.
    await seats.fail(1, address="192.0.2.8")
    assert seats.waits == [0.25, 0.5, 1.0]
    assert (seats.failed("unknown"), seats.failed("expired")) == (6, 1)
    await seats.logins.keep_at_the_end()
    notes = await seats.rows(tables.audit)
    assert [(note.actor, note.action, note.object, note.detail) for note in notes] == [
        ("nobody", "failed login", "192.0.2.7", "6 failed: 1 expired, 5 unknown"),
        ("nobody", "failed login", "192.0.2.8", "1 failed: 1 unknown"),
    ]
    assert GUESSED not in str(notes)


async def test_a_flood_waits_in_a_bounded_number(seats: Seats) -> None:
    busy: list[object] = []

    async def another(_: float) -> None:
        # While this one waits, the next comes.
        try:
            await seats.fail(1)
        except TooManyError as error:
            busy.append(error)

    seats.logins = Logins(
        store=seats.world.store,
        clock=seats.world.clock,
        metrics=CollectorRegistry(),
        longest_delay_s=5.0,
        sleep=another,
    )
    seats.authenticator = Authenticator(
        store=seats.world.store, clock=seats.world.clock, logins=seats.logins, rights=seats.world.rights
    )
    await seats.fail(4)
    assert len(busy) == 1


async def test_a_use_is_noted_once_an_hour_and_not_in_the_answer(seats: Seats) -> None:
    await seats.add("valid", Principal("ana", "shop", frozenset()))

    async def noted() -> datetime | None:
        found = await seats.world.store.read(lambda transaction: transaction.tokens.find(hash_token("valid")))
        assert found is not None
        return found.last_used_at

    began = NOON
    for minutes, last in ((0, 0), (59, 0), (60, 60), (61, 60)):
        seats.world.now = began + timedelta(minutes=minutes)
        await seats.shown("valid")
        await seats.logins.keep_at_the_end()
        assert await noted() == began + timedelta(minutes=last)


async def test_the_chain_of_a_subject_is_of_all_its_tokens_and_of_their_makers_also_later(seats: Seats) -> None:
    def principal(subject: str, *made_by: str) -> Principal:
        return Principal(subject, "shop", frozenset(), made_by=made_by)

    await seats.add("1", principal("ana", "root"))
    await seats.add("2", principal("ana", "vera"))
    await seats.add("3", principal("vera", "ana"))
    # Made after vera had made ana's.
    await seats.add("4", principal("vera", "boss"))

    def revoke(transaction: Transaction) -> None:
        found = transaction.tokens.find(hash_token("2"))
        assert found is not None
        transaction.tokens.end(replace(found, revoked_at=NOON, revoked_by="root"))

    await seats.world.store.write(revoke)

    def chains(transaction: Transaction) -> list[Party]:
        return [transaction.tokens.party(subject) for subject in ("ana", "boss", "nobody")]

    found = await seats.world.store.read(chains)
    assert [party.made_by for party in found] == [{"root", "vera", "boss"}, frozenset(), frozenset()]
    assert same_person(found[0], found[1])


async def test_a_first_token_is_made_where_no_other_could_make_tokens(seats: Seats, tmp_path: Path) -> None:
    async def start() -> str:
        await make_first_token(seats.world.store, tmp_path, clock=seats.world.clock)
        return (tmp_path / "tokens" / "admin").read_text().strip()

    await seats.add("ending", ROOT, expires_at=NOON + timedelta(minutes=10))
    first = await start()
    assert Role.ADMIN in (await seats.shown(first)).roles
    assert await start() == first


async def test_two_admins_end_each_other_and_one_stays(seats: Seats) -> None:
    await seats.add("one", replace(ROOT, subject="one"))
    await seats.add("two", replace(ROOT, subject="two"))
    one, two = await seats.shown("one"), await seats.shown("two")
    await seats.acts.revoke(two.token_id, one)
    with pytest.raises(ConflictError, match="last token"):
        await seats.acts.revoke(one.token_id, one)
    # Rotated, it may go: another one has come.
    await seats.acts.rotate(one.token_id, one)
    await seats.acts.revoke(one.token_id, one)


async def test_who_follows_the_events_is_cut_off_when_the_token_has_ended(seats: Seats) -> None:
    await seats.add("valid", replace(ROOT, roles=frozenset({Role.VIEWER})))
    store, clock, bell = seats.world.store, seats.world.clock, Bell()
    app, begun = FastAPI(), asyncio.Event()
    app.state.authenticator = seats.authenticator
    app.state.limits = Limits(LimitSettings().rates(), metrics=CollectorRegistry())
    app.include_router(
        events_router(
            followed=Followed(
                store=store,
                feed=Feed(store=store, bell=bell),
                bell=bell,
                authenticator=seats.authenticator,
                clock=clock,
            ),
            replays=Replays(store=store, bell=bell, clock=clock),
        )
    )

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
            begun.set()

    scope = seats.scope("valid") | {"path": "/v1/events", "query_string": b"since=now", "app": app}
    async with asyncio.timeout(HANG_S):
        following = asyncio.create_task(app(scope, receive, send))
        await begun.wait()
        found = await seats.shown("valid")
        await seats.acts.revoke(found.token_id, found)
        seats.world.now += timedelta(minutes=1)
        await following
