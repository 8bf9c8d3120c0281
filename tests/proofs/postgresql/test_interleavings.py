"""Approvals, denials, renewals and new approvals at once at two registries, which are killed meanwhile."""

import asyncio
import json
import os
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from certcore.api import Role
from certcore.bundles import SealedKey
from certcore.placements import PLATFORM
from certcore.sealing import SealContext, seal
from certkit.background import end_tasks
from tests.authority import Authority
from tests.integration.registry.bodies import a_body
from tests.integration.registry.bus import eventually
from tests.proofs.postgresql.following import Follower
from tests.registry_pair import RegistryPair, registry_pair

_AT_ONCE: Final = 12
_KILL_EVERY_S: Final = 10.0
_TIRED: Final = frozenset({500})

Headers = dict[str, str]


class Play:
    def __init__(self, pair: RegistryPair, people: dict[str, Headers], chance: random.Random) -> None:
        self.pair = pair
        self.people = people
        self.chance = chance
        self.authority = Authority()
        self.answers = Counter[tuple[str, int]]()

    async def call(self, who: str, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        """Its status and body; 0 where the registry that was asked ended before it answered."""
        await asyncio.sleep(self.chance.random() * 0.02)
        response = await self.pair.call(self.people[who], method, path, json=body)
        status = response.status_code if response is not None else 0
        self.answers[path.rsplit("/", 1)[-1] if method == "POST" else method, status] += 1
        return status, response.json() if response is not None and response.content else {}

    async def certain(self, who: str, method: str, path: str, body: object = None) -> dict[str, object]:
        """Ask until one of them answers whether it is so."""
        while True:
            status, answer = await self.call(who, method, path, body)
            if status not in (0, 503):
                assert status < 500, answer
                return answer
            await asyncio.sleep(0.1)

    async def one(self, number: int) -> None:
        name = f"play-{number}"
        await self.certain("ana", "POST", "/v1/requests", a_body(name, exposure="public"))
        asked = self.pair.rows("SELECT id, certificate_id FROM request WHERE name = ?", name)
        if not asked:
            return
        await self.decided(str(asked[0]["id"]), name)
        if (await self.certain("ana", "GET", f"/v1/certificates/{name}"))["state"] == "denied":
            return
        await self.issued(name, str(asked[0]["certificate_id"]))
        renew, again = f"/v1/certificates/{name}/renew", f"/v1/certificates/{name}/approval"
        await asyncio.gather(*(self.call("ana", "POST", path) for path in (renew, again, renew, again, renew)))
        waiting = self.pair.rows("SELECT id FROM request WHERE name = ? AND state = 'waiting'", name)
        await asyncio.gather(*(self.decided(str(row["id"]), name) for row in waiting))

    async def decided(self, request_id: str, name: str) -> None:
        """Until one of those who decide, and of those who disturb, was heard."""
        path = f"/v1/requests/{request_id}"
        while self.pair.rows("SELECT id FROM request WHERE id = ? AND state = 'waiting'", request_id):
            acts = [
                self.call("ben", "POST", f"{path}/approve", {"reason": "yes"}),
                self.call("dan", "POST", f"{path}/approve", {"reason": "yes"}),
                self.call("eve", "POST", f"{path}/deny", {"reason": "no"}),
                self.call("ana", "POST", f"/v1/certificates/{name}/renew"),
                self.call("ana", "POST", f"/v1/certificates/{name}/approval"),
            ]
            self.chance.shuffle(acts)
            await asyncio.gather(*acts)

    async def issued(self, name: str, certificate_id: str) -> None:
        now = datetime.now(UTC)
        leaf = self.authority.issue(f"{name}.example.test", not_before=now, not_after=now + timedelta(days=30))
        key = self.pair.keys["site1-syncer"]
        context = SealContext(key.name, certificate_id, 1, PLATFORM)
        sealed = seal(leaf.key_pem.encode(), public_key=key.public_key, context=context)
        body = {
            "chain_pem": leaf.chain_pem,
            "keys": [SealedKey.of(key.name, sealed, key.key_id).model_dump()],
            "report": {"ca": "ca-one", "validation_method": "dns-01", "ari_id": "ari"},
        }
        await self.certain("issuer", "PUT", f"/v1/bundles/{certificate_id}/1", body)


async def test_no_verdict_and_no_order_comes_twice(tmp_path: Path, seed: int) -> None:
    number = int(os.environ.get("N", "1000"))
    chance = random.Random(seed)
    async with registry_pair(tmp_path, seed=seed) as pair:
        people = {
            "ana": await pair.person("ana", Role.REQUESTER),
            **{name: await pair.person(name, Role.APPROVER, owner="platform") for name in ("ben", "dan", "eve")},
            "issuer": await pair.person("issuer", Role.ISSUER, owner="platform"),
            "op": await pair.person("op", Role.OPERATOR, owner="platform"),
        }
        play, began = Play(pair, people, chance), time.monotonic()
        followers = [Follower(pair, people["op"], first=place) for place in range(2)]
        tasks = [asyncio.create_task(follower.run()) for follower in followers]
        killing = asyncio.create_task(pair.killing(every_s=_KILL_EVERY_S))
        turn = asyncio.Semaphore(_AT_ONCE)

        async def in_turn(each: int) -> None:
            async with turn:
                await play.one(each)

        await asyncio.gather(*(in_turn(each) for each in range(number)))
        await end_tasks([killing])
        await pair.all_run()

        async def one_leads() -> bool:
            return len(await pair.leaders()) == 1

        await eventually(one_leads, what="that one leads")
        # What is written from here on, such as of health, is not looked at.
        log = [row["id"] for row in pair.rows("SELECT id FROM event ORDER BY sequence")]

        async def told() -> bool:
            return all(len(follower.ids) >= len(log) for follower in followers)

        await eventually(told, what="the last event's telling")
        await end_tasks(tasks)
        verdicts, orders, waiting = _verdicts(pair), _orders(pair), _waiting(pair)
        print(f"\n{number} interleavings, {pair.kills} kills, {time.monotonic() - began:.0f} s, seed {seed}")
        print(
            "answers:", ", ".join(f"{act} {status}: {count}" for (act, status), count in sorted(play.answers.items()))
        )
        print(f"requests decided {len(verdicts)}, twice {sum(count > 1 for count in verdicts.values())}")
        print(f"revisions ordered {len(orders)}, twice {sum(count > 1 for count in orders.values())}")
        print(f"certificates with two requests that wait {sum(count > 1 for count in waiting.values())}")
        for follower in followers:
            missed = len(set(log) - set(follower.ids))
            print(
                f"of {len(log)} events: {missed} missed, {follower.lost} connections lost, in order: "
                f"{follower.ids[: len(log)] == log}"
            )
        assert max(verdicts.values()) == max(orders.values()) == 1
        assert max(waiting.values(), default=1) == 1
        assert [follower.ids[: len(log)] == log for follower in followers] == [True, True]
        assert not [answer for answer in play.answers if answer[1] in _TIRED]


def _verdicts(pair: RegistryPair) -> Counter[str]:
    """How many there are of each request."""
    found = Counter(row["request_id"] for row in pair.rows("SELECT request_id FROM approval"))
    denied = pair.rows("SELECT data FROM event WHERE type LIKE 'certbus.certificate.denied.%'")
    return found + Counter(json.loads(row["data"])["request_id"] for row in denied)


def _orders(pair: RegistryPair) -> Counter[tuple[str, int]]:
    """How often each revision of each certificate was ordered."""
    kinds = ("certbus.certificate.approved.v1", "certbus.certificate.renewal_due.v1")
    rows = pair.rows("SELECT about, data FROM event WHERE type IN (?, ?)", *kinds)
    return Counter((row["about"], json.loads(row["data"])["order"]["revision"]) for row in rows)


def _waiting(pair: RegistryPair) -> Counter[str]:
    return Counter(
        row["certificate_id"] for row in pair.rows("SELECT certificate_id FROM request WHERE state = 'waiting'")
    )
