"""Answers to challenges at a site: ordered by the issuer alone, told on the bus and as a level, over in time."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from certcore import subjects
from certcore.challenges import ChallengeAction, ChallengeOrder, ChallengeState
from certcore.events import ChallengeShown, ChallengeWanted
from registry.adapters.outbox import Bell, Outbox
from registry.adapters.store import Transaction
from registry.domain.challenge import AT_ONCE, REMEMBERED, Challenge
from registry.domain.errors import NotFoundError, TooManyError
from registry.handlers.challenges import Challenges
from tests.integration.registry.bus import Bus
from tests.integration.registry.reported import items, relayed
from tests.integration.registry.stand_ins import StandIns
from tests.integration.registry.world import NOON, World, schema, world
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

HOST: Final = "shop.example.org"


@dataclass
class Shown:
    """One challenge, which site1 is to show."""

    services: StandIns
    registry: RunningRegistry
    bus: Bus
    syncer: Person
    token: str
    site: str = "site1"

    @property
    def path(self) -> str:
        return f"/v1/challenges/{self.site}/{self.token}"

    @property
    def key_authorization(self) -> str:
        return f"{self.token}.{'k' * 43}"

    def body(self, **changes: Any) -> dict[str, Any]:
        ends = datetime.now(UTC) + timedelta(hours=1)
        return {"host": HOST, "key_authorization": self.key_authorization, "expires_at": ends.isoformat()} | changes

    async def put(self, person: Person | None = None, **changes: Any) -> httpx.Response:
        return await (person or self.services.issuer).put(self.path, json=self.body(**changes))

    async def state(self) -> ChallengeState:
        response = await self.services.issuer.get(self.path)
        assert response.status_code == 200, response.text
        return ChallengeState.model_validate_json(response.content)

    async def delete(self) -> int:
        return (await self.services.issuer.call("DELETE", self.path)).status_code

    async def say(self, *, action: ChallengeAction = ChallengeAction.SHOW, place: str = "site1", **said: Any) -> None:
        event = ChallengeShown(challenge_token=self.token, host=HOST, action=action, **said)
        key = subjects.challenge_key(HOST, self.token)
        await self.services.report(event, service="syncer", place=place, about=key)
        await self.services.settled()

    async def level(self) -> list[ChallengeWanted]:
        found = await items(self.syncer, "/v1/challenges", ChallengeWanted)
        return [item for item in found if item.challenge_token == self.token]

    async def told(self) -> list[ChallengeWanted]:
        """What the stream holds of it."""
        await relayed(self.registry)
        found = await self.bus.messages("DEPLOY_site1", f"certs.deploy.{self.site}.syncer.challenge.*")
        events = [ChallengeWanted.model_validate_json(message.data or b"") for message in found]
        return [event for event in events if event.challenge_token == self.token]


@pytest_asyncio.fixture(loop_scope="package")
async def challenge(services: StandIns, registry: RunningRegistry, bus: Bus, deliverers: dict[str, Person]) -> Shown:
    await services.beat("site1", "syncer", contract=4)
    await services.settled()
    return Shown(services, registry, bus, deliverers["site1-syncer"], uuid.uuid4().hex)


async def test_what_the_issuer_orders_is_told_to_the_site_and_back(challenge: Shown) -> None:
    assert (await challenge.put()).status_code == 204
    [event] = await challenge.told()
    assert await challenge.level() == [event]
    assert (event.action, event.host, event.key_authorization) == ("show", HOST, challenge.key_authorization)
    assert not (await challenge.state()).shown

    await challenge.say(shown=False, detail="the socket is away")
    assert (await challenge.state()).detail == "the socket is away"
    await challenge.say(shown=True)
    state = await challenge.state()
    assert (state.shown, state.detail) == (True, "")
    assert state.looked_at is not None

    assert await challenge.delete() == 204
    [event] = await challenge.told()
    assert event.action is ChallengeAction.REMOVE
    assert await challenge.level() == [event]
    assert await challenge.delete() == 404
    assert (await challenge.services.issuer.get(challenge.path)).status_code == 404
    await challenge.say(shown=False, action=ChallengeAction.REMOVE)
    assert await challenge.level() == []


async def test_the_same_order_again_is_told_as_long_as_it_is_not_shown(challenge: Shown) -> None:
    async def events() -> int:
        query = "SELECT COUNT(*) AS number FROM event WHERE about = ?"
        rows = challenge.registry.process.rows(query, subjects.challenge_key(HOST, challenge.token))
        return int(rows[0]["number"])

    body = challenge.body()
    for number in (1, 2):
        assert (await challenge.put(**body)).status_code == 204
        assert await events() == number
    await challenge.say(shown=True)
    assert (await challenge.put(**body)).status_code == 204
    assert await events() == 2
    assert len(await challenge.told()) == 1


async def test_only_the_issuer_orders_and_only_its_site_reads(
    challenge: Shown, deliverers: dict[str, Person]
) -> None:
    assert (await challenge.put()).status_code == 204
    for person in (challenge.registry.admin, challenge.syncer, challenge.services.asker):
        assert (await challenge.put(person)).status_code == 403
        assert (await person.get(challenge.path)).status_code == 403
        assert (await person.call("DELETE", challenge.path)).status_code == 403
    assert (await deliverers["site1-pusher"].get("/v1/challenges")).status_code == 403
    assert (await deliverers["hub-pusher"].get("/v1/challenges")).status_code == 403
    elsewhere = await items(deliverers["site2-syncer"], "/v1/challenges", ChallengeWanted)
    assert challenge.token not in {item.challenge_token for item in elsewhere}
    # What another place says of it is nothing to this one.
    await challenge.say(shown=True, place="site2")
    assert not (await challenge.state()).shown


async def test_the_level_comes_in_pages_and_is_not_sent_twice(challenge: Shown) -> None:
    others = [
        Shown(challenge.services, challenge.registry, challenge.bus, challenge.syncer, f"{n}{challenge.token}")
        for n in range(3)
    ]
    for one in others:
        assert (await one.put()).status_code == 204
    whole = [item.challenge_token for item in await items(challenge.syncer, "/v1/challenges", ChallengeWanted)]
    paged = [
        item.challenge_token for item in await items(challenge.syncer, "/v1/challenges", ChallengeWanted, limit=1)
    ]
    assert paged == whole == sorted(whole)
    first = await challenge.syncer.get("/v1/challenges")
    known = {"if-none-match": first.headers["etag"]}
    assert (await challenge.syncer.get("/v1/challenges", headers=known)).status_code == 304
    # What is said of it is nothing that its site must be told.
    await others[0].say(shown=True)
    assert (await challenge.syncer.get("/v1/challenges", headers=known)).status_code == 304
    await others[0].delete()
    assert (await challenge.syncer.get("/v1/challenges", headers=known)).status_code == 200


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/v1/challenges/site1/short", {}),
        ("/v1/challenges/site1/" + "a" * 201, {}),
        ("/v1/challenges/site1/" + "a" * 40 + "%0Adel", {}),
        ("/v1/challenges/site1/" + "a" * 40 + ".b", {}),
        ("/v1/challenges/SITE1/" + "a" * 40, {}),
        (None, {"host": "*.example.org"}),
        (None, {"host": "a b"}),
        (None, {"host": "192.0.2.1"}),
        (None, {"key_authorization": "x"}),
        (None, {"key_authorization": "a" * 40 + "." + "k" * 43 + "\n"}),
        (None, {"expires_at": "2020-01-01T00:00:00Z"}),
        (None, {"expires_at": "2999-01-01T00:00:00Z"}),
        (None, {"expires_at": "2026-01-01T00:00:00"}),
        (None, {"later": 1}),
    ],
)
async def test_what_could_be_more_than_a_word_is_refused(
    challenge: Shown, path: str | None, changes: dict[str, Any]
) -> None:
    before = challenge.registry.process.counts()
    response = await challenge.services.issuer.put(path or challenge.path, json=challenge.body(**changes))
    assert response.status_code == 422, response.text
    assert challenge.registry.process.counts() == before


async def test_an_answer_of_another_token_is_refused(challenge: Shown) -> None:
    response = await challenge.put(key_authorization=f"{'z' * 40}.{'k' * 43}")
    assert response.status_code == 422
    assert "key_authorization" in response.text


async def test_a_site_that_cannot_show_it_is_refused_with_the_way_out(challenge: Shown) -> None:
    for site in ("nowhere", "hub"):
        nowhere = Shown(
            challenge.services, challenge.registry, challenge.bus, challenge.syncer, challenge.token, site
        )
        response = await nowhere.put()
        assert (response.status_code, site in response.json()["detail"]) == (404, True)
    await challenge.services.beat("site1", "syncer", contract=3)
    await challenge.services.settled()
    response = await challenge.put()
    assert (response.status_code, response.json()["type"]) == (409, "/problems/conflict")
    assert "Update it, or prove the name by another solver" in response.json()["detail"]
    assert await challenge.level() == []


async def test_one_too_many_is_told_when_to_ask_again(challenge: Shown) -> None:
    rows = challenge.registry.process
    try:
        for slot in range(AT_ONCE):
            rows.change(
                "INSERT INTO challenge (site, token, host, key_authorization, expires_at, action, slot, detail)"
                " VALUES ('site1', ?, 'x', 'x', '2999-01-01 00:00:00.000000', 'show', ?, '') ON CONFLICT DO NOTHING",
                f"full-{slot:04d}",
                slot,
            )
        response = await challenge.put()
        assert (response.status_code, response.json()["type"]) == (429, "/problems/too-many")
        assert int(response.headers["retry-after"]) > 0
    finally:
        rows.change("DELETE FROM challenge WHERE token LIKE 'full-%'")
    assert (await challenge.put()).status_code == 204


@dataclass
class Kept:
    """Without processes, and with a clock that stands still."""

    made: World

    def __post_init__(self) -> None:
        outbox = Outbox(clock=self.made.clock, new_id=self.made.new_id)
        store, clock = self.made.store, self.made.clock
        self.challenges = Challenges(store=store, outbox=outbox, bell=Bell(), clock=clock)

    async def show(self, number: int, *, site: str = "site1") -> str:
        token = f"{number:040d}"
        order = ChallengeOrder(
            host=HOST, key_authorization=f"{token}.{'k' * 43}", expires_at=self.made.now + timedelta(hours=1)
        )
        await self.challenges.show(site, token, order)
        return token

    async def fill(self, number: int) -> None:
        """So many at once."""

        def work(transaction: Transaction) -> None:
            for slot in range(number):
                token = f"{slot:040d}"
                ends = self.made.now + timedelta(hours=1)
                answer = f"{token}.{'k' * 43}"
                transaction.challenges.save(Challenge("site1", token, HOST, answer, ends, ChallengeAction.SHOW, slot))

        await self.made.store.write(work)

    async def rows(self, site: str = "site1") -> list[Challenge]:
        return await self.made.store.read(lambda transaction: transaction.challenges.page(site, after="", limit=2000))

    async def subjects(self) -> list[str]:
        def work(transaction: Transaction) -> list[str]:
            return [event.subject for event in transaction.events.after(0, 10_000) if event.stream == "DEPLOY_site1"]

        return await self.made.store.read(work)


@pytest_asyncio.fixture(loop_scope="package")
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    async with world(await schema(tmp_path), "challenges") as made:
        yield Kept(made)


async def test_what_is_over_is_removed_and_in_the_end_forgotten(kept: Kept) -> None:
    # More than are removed in one transaction.
    await kept.fill(450)
    await kept.challenges.sweep()
    assert {row.action for row in await kept.rows()} == {ChallengeAction.SHOW}
    kept.made.now = NOON + timedelta(hours=1)
    late = await kept.show(450)
    told = len(await kept.subjects())
    await kept.challenges.sweep()
    rows = await kept.rows()
    assert [row.token for row in rows if row.action is ChallengeAction.SHOW] == [late]
    assert len(await kept.subjects()) == told + 450
    # Its syncer never said that they are gone.
    await kept.challenges.sweep()
    assert len(await kept.subjects()) == told + 450
    kept.made.now += REMEMBERED
    await kept.challenges.sweep()
    assert [row.token for row in await kept.rows()] == [late]


async def test_a_slot_is_used_again_so_a_stream_holds_no_more_than_were_shown_at_once(kept: Kept) -> None:
    tokens = [await kept.show(number) for number in range(3)]
    assert [row.slot for row in await kept.rows()] == [0, 1, 2]
    await kept.challenges.remove("site1", tokens[1])
    # As long as its site has not said that it is gone, nothing else is told in its slot.
    await kept.show(3)
    assert [row.slot for row in await kept.rows()] == [0, 1, 2, 3]
    await kept.made.store.write(lambda transaction: transaction.challenges.drop("site1", tokens[1]))
    await kept.show(4)
    assert [row.slot for row in await kept.rows()] == [0, 2, 3, 1]
    assert len(set(await kept.subjects())) == 4


async def test_a_full_site_holds_up_no_other(kept: Kept) -> None:
    await kept.fill(AT_ONCE)
    with pytest.raises(TooManyError):
        await kept.show(AT_ONCE)
    await kept.show(AT_ONCE, site="site2")
    with pytest.raises(NotFoundError):
        await kept.challenges.state("site1", f"{AT_ONCE:040d}")
