"""A list shows what its query says, in its order, whichever way it is found: compared with a plain look at each."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

import pytest
import pytest_asyncio
from sqlalchemy import Connection

from certcore.api import CertificateState, FacetCounts
from certcore.certificate import CertificateSpec
from certcore.certificate_list import CertificateQuery, Order
from certcore.conditions import Health
from certcore.door import RequestDoor
from certcore.names import matches, registered_domain
from registry.adapters.store import Transaction
from registry.adapters.store.facts import NEVER
from registry.adapters.store.listing import Listing, Place
from registry.domain.certificate import Certificate
from registry.domain.claim import contested
from tests.authority import Authority
from tests.integration.registry.world import ANA, KINDS, MIGRATIONS, NOON, SPEC, World, a_database, keep_policy
from tests.policies import open_policy
from tests.postgres_server import database

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

NUMBER: Final = 120
SEED: Final = 20261130
BOUNDS: Final = (3000, 0)
"""Where each condition finds few rows, and where each finds many."""
ENDS: Final = [NOON + timedelta(days=days) for days in (-1, 3, 20, 60)]


DOOR: Final = RequestDoor(KINDS)
ZONES: Final = ("example.org", "example.co.uk", "internal.example.net")
POLICY: Final = {
    **open_policy(internal=["internal.example.net", "internal.example.test"], public=ZONES[:2]),
    "shared_names": [f"{first}.{zone}" for first in ("*", "www") for zone in ZONES],
}


def a_spec(number: int, dice: random.Random) -> CertificateSpec:
    name = dice.choice(["shop", "api-gate", "mail"]) + f"-{number}"
    zone = dice.choice(ZONES)
    kinds = dice.sample(["files", "haproxy"], dice.randint(1, 2))
    return DOOR.model.model_validate(
        {
            "name": name,
            "dns_names": [f"{name}.{zone}", *dice.sample([f"*.{zone}", f"www.{zone}"], dice.randint(0, 2))],
            "exposure": "internal" if zone.startswith("internal") else "public",
            "key_algorithm": dice.choice(["ec-p256", "rsa-2048"]),
            "targets": [
                {"kind": kind, "name": kind, "site": dice.choice(["site1", "site2"]) if kind == "files" else "site1"}
                for kind in kinds
            ],
            "proof": "none",
            "labels": dice.choice([{}, {"tier": "gold"}, {"tier": "gold", "stage": "prod"}]),
        }
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    drawn = [a_spec(number, random.Random(SEED + number)) for number in range(NUMBER)]

    def work(transaction: Transaction) -> None:
        # A work may be done again: it draws the same.
        dice = random.Random(SEED)
        for spec in drawn:
            owner = dice.choice(["shop", "bank"])
            done = world.requests.submit(transaction, spec, owner=owner, by=ANA)
            transaction.certificates.save(
                replace(
                    done.certificate,
                    state=dice.choice([CertificateState.LIVE, CertificateState.FAILING]),
                    health=dice.choice([Health.OK, Health.DEGRADED]),
                    served_until=dice.choice([None, *ENDS]),
                    due_at=dice.choice([None, *ENDS]),
                    ca=dice.choice(["", "one", "two"]),
                )
            )

    async with database(request.param, tmp_path_factory.mktemp("listing")) as url:
        stored = a_database(url)
        try:
            await stored.upgrade(MIGRATIONS)
            world = World(stored)
            await world.enrol()
            await world.store.write(lambda transaction: keep_policy(transaction, NOON, POLICY))
            await world.store.write(work, held=frozenset().union(*map(contested, drawn)))
            yield world
        finally:
            await stored.close()


# ── what a query means, told plainly ────────────────────────────────────────────────────────────────────────────────


def words(certificate: Certificate) -> Iterator[str]:
    for text in (certificate.name, *(name.removeprefix("*.") for name in certificate.intent.dns_names)):
        parts = [0, *(place + 1 for place, sign in enumerate(text) if sign in ".-")]
        yield from (text[place:] for place in parts)


TESTS: Final[dict[str, Callable[[Certificate, Any], bool]]] = {
    "q": lambda one, text: any(word.startswith(text) for word in words(one)),
    "dns": lambda one, host: any(name == host or matches(host, name) for name in one.intent.dns_names),
    "domain": lambda one, domain: any(registered_domain(name) == domain for name in one.intent.dns_names),
    "owner": lambda one, owner: one.owner == owner,
    "label": lambda one, pairs: {f"{key}={value}" for key, value in one.intent.labels.items()} >= set(pairs),
    "exposure": lambda one, exposure: one.intent.exposure == exposure,
    "ca": lambda one, ca: one.ca == ca,
    "site": lambda one, site: site in {target.place for target in one.intent.targets},
    "target": lambda one, kind: kind in {target.kind for target in one.intent.targets},
    "state": lambda one, state: one.state == state,
    "health": lambda one, health: one.health == health,
    "key": lambda one, key: one.intent.key_algorithm == key,
    "expires_before": lambda one, instant: (one.served_until or NEVER) <= instant,
    "expires_after": lambda one, instant: (one.served_until or NEVER) > instant,
    "renews_before": lambda one, instant: (one.due_at or NEVER) <= instant,
}
VALUES: Final[dict[str, list[Any]]] = {
    "q": ["shop", "gate-1", "example", "www", "nothing"],
    "dns": ["www.example.org", "*.example.org", "mail-2.example.co.uk", "a.b.example.org"],
    "domain": ["example.org", "example.co.uk", "co.uk"],
    "owner": ["shop", "bank"],
    "label": [("tier=gold",), ("tier=gold", "stage=prod"), ("tier=tin",), ("tier=gold", "tier=tin")],
    "exposure": ["internal", "public"],
    "ca": ["one", "two"],
    "site": ["site1", "site2"],
    "target": ["files", "haproxy"],
    "state": ["live", "failing"],
    "health": ["ok", "degraded"],
    "key": ["ec-p256", "rsa-2048"],
    "expires_before": ENDS,
    "expires_after": ENDS,
    "renews_before": ENDS,
}


def passes(one: Certificate, query: CertificateQuery) -> bool:
    given = query.model_dump(exclude={"sort", "facets"}, exclude_defaults=True)
    return all(TESTS[name](one, value) for name, value in given.items())


def expected(everything: list[Certificate], query: CertificateQuery) -> list[str]:
    found = [one for one in everything if passes(one, query)]
    if "expires" in query.sort:
        found.sort(key=lambda one: (one.served_until or NEVER, one.name), reverse=query.sort.startswith("-"))
    elif "renews" in query.sort:
        found.sort(key=lambda one: (one.due_at or NEVER, one.name), reverse=query.sort.startswith("-"))
    else:
        found.sort(key=lambda one: one.name, reverse=query.sort.startswith("-"))
    return [one.name for one in found]


def queries(dice: random.Random) -> Iterator[CertificateQuery]:
    for sort in Order:
        for name, values in VALUES.items():
            yield CertificateQuery.model_validate({name: dice.choice(values), "sort": sort})
        for _ in range(15):
            names = dice.sample(sorted(VALUES), dice.randint(0, 3))
            yield CertificateQuery.model_validate(
                {name: dice.choice(VALUES[name]) for name in names} | {"sort": sort}
            )


def listed(found: Listing, query: CertificateQuery, *, limit: int) -> list[str]:
    names: list[str] = []
    after: Place | None = None
    while True:
        page = found.page(query, owners=_owners(query), after=after, limit=limit)
        names += [item.place.name for item in page]
        if len(page) < limit:
            return names
        after = page[-1].place


async def everything(made: World) -> list[Certificate]:
    def work(transaction: Transaction) -> list[Certificate]:
        return transaction.certificates.many(transaction.certificates.ids(limit=NUMBER))

    return await made.store.read(work)


@pytest.mark.parametrize("few", BOUNDS)
async def test_a_list_shows_what_passes_in_its_order_page_by_page(made: World, few: int) -> None:
    stored, dice, nonempty = await everything(made), random.Random(SEED + few), 0
    for query in queries(dice):
        limit = dice.choice([7, NUMBER + 1])

        def work(connection: Connection, query: CertificateQuery = query, limit: int = limit) -> list[str]:
            return listed(Listing(connection, few=few), query, limit=limit)

        wanted = expected(stored, query)
        assert await made.database.read(work) == wanted, query
        nonempty += bool(wanted)
    assert nonempty > 60


@pytest.mark.parametrize("few", BOUNDS)
async def test_what_is_counted_is_what_the_whole_list_has(made: World, few: int) -> None:
    stored, dice = await everything(made), random.Random(SEED - few)
    plain: list[dict[str, Any]] = [
        {},
        {"owner": "shop"},
        {"site": "site2", "health": "ok"},
        {"label": ("tier=gold", "tier=tin")},
    ]
    drawn = [query.model_dump(exclude_defaults=True) for query in dice.sample([*queries(dice)], 25)]
    for given in [*plain, *drawn]:
        query = CertificateQuery.model_validate(
            {**given, "facets": "state,health,owner,key,site,target,domain,label"}
        )
        counts = await made.database.read(partial(_counts, query, few))
        assert all(facet.exact for facet in counts.values())
        passing = [one for one in stored if passes(one, query)]
        assert {name: Counter(facet.values) for name, facet in counts.items()} == {
            "state": Counter(str(one.state) for one in passing),
            "health": Counter(str(one.health) for one in passing),
            "owner": Counter(one.owner for one in passing),
            "key": Counter(str(one.intent.key_algorithm) for one in passing),
            "site": Counter(place for one in passing for place in {target.place for target in one.intent.targets}),
            "target": Counter(target.kind for one in passing for target in one.intent.targets),
            "domain": Counter(
                domain for one in passing for domain in {registered_domain(name) for name in one.intent.dns_names}
            ),
            "label": Counter(f"{key}={value}" for one in passing for key, value in one.intent.labels.items()),
        }


def _owners(query: CertificateQuery) -> frozenset[str] | None:
    return frozenset({query.owner}) if query.owner is not None else None


def _counts(query: CertificateQuery, few: int, connection: Connection) -> dict[str, FacetCounts]:
    return Listing(connection, few=few).counts(query, owners=_owners(query))


async def test_the_rows_of_several_owners_are_one_list(made: World) -> None:
    def work(transaction: Transaction) -> list[list[list[str]]]:
        return [
            [
                [listed.place.name for listed in transaction.listing.page(query, owners=frozenset(owners), limit=500)]
                for owners in (["shop"], ["bank"], ["bank", "shop"], [])
            ]
            for query in (CertificateQuery(), CertificateQuery(sort=Order.EXPIRES), CertificateQuery(facets="owner"))
        ]

    for shop, bank, both, none in await made.store.read(work):
        assert shop
        assert bank
        assert sorted(both) == sorted([*shop, *bank])
        assert not none


async def test_a_leaf_leads_to_its_certificate(made: World) -> None:
    made.certificate_id = await made.submit(SPEC)
    await made.issue(Authority())
    rollout = await made.rollout()
    serial, spki = rollout.revisions[0].serial, rollout.revisions[0].spki_sha256
    pairs = ":".join(f"{serial:0>40}"[place : place + 2] for place in range(0, 40, 2)).upper()
    for given in ({"serial": pairs}, {"spki": spki.upper()}, {"serial": serial, "spki": spki, "sort": "expires"}):
        query = CertificateQuery.model_validate(given)
        found = await made.store.read(partial(_names, query))
        assert found == [rollout.certificate.name]


def _names(query: CertificateQuery, transaction: Transaction) -> list[str]:
    return listed(transaction.listing, query, limit=5)
