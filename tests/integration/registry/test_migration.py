"""A database of the first schema, brought to the present one: nothing is lost, nothing is issued again."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, func, select

from certcore.api import CertificateState, TargetState
from certcore.bundles import SealedKey, digest
from certcore.certificate import approval_hash
from certcore.conditions import Health
from certcore.door import RequestDoor
from certcore.events import (
    DeliverySucceeded,
    DeliverySucceededV1,
    DeploymentOrdered,
    DiscoveredSecret,
    EndpointObserved,
    Event,
    ProbeRound,
    ServingVerdict,
)
from certcore.rejection import RejectedError
from certcore.targets import FILES, HAPROXY, KUBERNETES, TargetKinds
from registry.adapters import tables
from registry.adapters.store import Transaction
from registry.adapters.store.facts import NEVER
from registry.domain.facts import facts_of
from registry.handlers.levels import expectations, issue_orders
from tests.integration.registry.bodies import encoded
from tests.integration.registry.first_schema import SECRET
from tests.integration.registry.migrated_home import Home, is_longer, migrated, of, shape
from tests.integration.registry.world import MIGRATIONS, NOON, Report, a_database
from tests.postgres_server import database

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

FEW = 20
MANY = 1100
"""Migrations read up to 500 at once."""
UNREADABLE = ("odd", "newer", "old-name")
"""Their intents are none that a request could have today."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    """It is only looked at, but for the last tests, which go on with certificates of their own."""
    async with database(request.param, tmp_path_factory.mktemp("home")) as url, migrated(url, many=FEW) as made:
        yield made


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_more_certificates_than_are_carried_over_at_once_all_come_along(kind: str, tmp_path: Path) -> None:
    async with database(kind, tmp_path) as url, migrated(url, many=MANY) as made:
        print(f"it took {made.took_s:.1f} s")
        assert len(await made.rows("placement")) > 3 * MANY
        rows = [row for row in await made.rows("certificate") if row["name"].startswith("many-")]
        assert {row["spec_hash"][:3] for row in rows} == {"v1:"}
        assert {(row["targets_total"], row["key_algorithm"]) for row in rows} == {(3, "ec-p256")}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_the_newest_version_can_be_taken_back(kind: str, tmp_path: Path) -> None:
    async with database(kind, tmp_path) as url:
        made = a_database(url)
        try:
            await made.upgrade(MIGRATIONS)
            newest = await made.read(shape)
            await made.write(lambda connection: command.downgrade(of(connection), "-1"))
            assert await made.read(shape) != newest
            await made.upgrade(MIGRATIONS)
            assert await made.read(shape) == newest
        finally:
            await made.close()


async def test_the_schema_is_the_present_one(home: Home) -> None:
    def differences(connection: Connection) -> list[Any]:
        found: list[Any] = compare_metadata(MigrationContext.configure(connection), tables.metadata)
        # SQLite takes any length, and would have to build a table anew for another.
        return found if connection.dialect.name != "sqlite" else [item for item in found if not is_longer(item)]

    assert await home.database.read(differences) == []


async def test_every_row_is_there_as_it_was(home: Home) -> None:
    renamed = {"delivery": "placement"}
    for table, stored in home.stored.rows.items():
        now = [row for row in await home.rows(renamed.get(table, table)) if row.get("action") != "chain audit"]
        assert len(now) == len(stored), table
        if table in {"delivery", "certificate", "request", "approval", "token"}:
            continue
        gone = {"site": {"last_heartbeat", "review"}, "recipient": {"site"}}.get(table, set())
        kept = [{name: value for name, value in row.items() if name not in gone} for row in stored]
        shown = [{name: row[name] for name in kept[0]} for row in now]
        assert sorted(shown, key=repr) == sorted(kept, key=repr), table
    assert (await home.world.proof()).findings == ()
    assert {row["place"] for row in await home.rows("recipient")} == {"site1", "site2"}
    for table, ignored in (
        ("certificate", {"spec", "spec_hash", "wanted", "proven"}),
        ("request", {"spec", "spec_hash"}),
        ("approval", {"spec_hash"}),
    ):
        by_id = {row["id"]: row for row in await home.rows(table)}
        for row in home.stored.rows[table]:
            for name, value in row.items():
                if name not in ignored:
                    assert by_id[row["id"]][name] == value, (table, row["id"], name)
    assert {row["name"] for row in await home.rows("request")} == {
        row["name"] for row in home.stored.rows["certificate"]
    }


async def test_the_secrets_of_a_site_are_rows_of_their_own(home: Home) -> None:
    (row,) = await home.rows("site_secret")
    assert (row["site"], row["cluster"], row["namespace"], row["secret"]) == ("site1", "east", "web", "tls")
    assert (row["ends"], row["body"]) == (datetime(2026, 4, 1, tzinfo=UTC), SECRET)
    sites = {row["name"]: row for row in await home.rows("site")}
    assert (sites["site1"]["unreachable"], sites["site2"]["unreachable"]) == (["west"], [])
    assert sites["site1"]["reviewed_at"] == NOON
    assert {row["review_digest"] for row in sites.values()} == {None}


async def test_every_bundle_is_the_one_that_was_ordered(home: Home) -> None:
    rollout = await home.rollout("live")
    keys = [(rollout.certificate.id, revision.number, revision.variant) for revision in rollout.revisions]
    found = await home.world.store.read(lambda transaction: transaction.revisions.sealed_keys(keys))
    sealed = found[rollout.certificate.id]
    assert len(sealed) == 9
    for (number, variant, recipient), key in sealed.items():
        assert (variant, key.key_id) == ("platform", None)
        assert key.raw() == f"sealed live {number} {recipient}".encode()
        chain = next(item.chain_pem for item in rollout.revisions if item.number == number)
        was = SealedKey.of(recipient, f"sealed live {number} {recipient}".encode(), None)
        assert digest(chain, key) == digest(chain, was)


async def test_what_was_approved_stays_approved_and_nothing_else_becomes_so(home: Home) -> None:
    certificates = {row["name"]: row for row in await home.rows("certificate")}
    requests = {row["name"]: row for row in await home.rows("request")}
    approvals = {row["certificate_id"]: row for row in await home.rows("approval")}
    door = RequestDoor(TargetKinds([FILES, HAPROXY, KUBERNETES]))
    for name, row in certificates.items():
        approval = approvals.get(row["id"])
        if name == "changed":
            assert row["spec_hash"] != requests[name]["spec_hash"]
            assert approval is not None
            assert approval["spec_hash"] != row["spec_hash"]
            continue
        assert requests[name]["spec_hash"] == row["spec_hash"]
        assert (approval is None) == (name in {"waiting", "denied"})
        if approval is not None:
            assert approval["spec_hash"] == row["spec_hash"]
        if name in UNREADABLE:
            stored = home.stored.certificate(name)
            assert (row["spec"], row["spec_hash"]) == (stored["spec"], stored["spec_hash"])
            with pytest.raises(RejectedError):
                door.read(encoded(row["spec"]))
            continue
        # The hash is that of today's door, so that asking for the same again is the same.
        spec = door.read(encoded(row["spec"]))
        assert row["spec_hash"] == approval_hash(spec, owner="shop")
        assert row["spec_hash"].startswith("v1:")


async def test_each_certificate_is_where_it_was(home: Home) -> None:
    for name, wanted, states in (
        ("waiting", 0, {"host": TargetState.PENDING, "edge": TargetState.PENDING, "pods": TargetState.PENDING}),
        ("denied", 0, {"host": TargetState.PENDING, "edge": TargetState.PENDING, "pods": TargetState.PENDING}),
        ("issuing", 0, {"host": TargetState.PENDING, "edge": TargetState.PENDING, "pods": TargetState.PENDING}),
        ("failing-first", 0, {"host": TargetState.PENDING, "edge": TargetState.PENDING, "pods": TargetState.PENDING}),
        ("live", 3, {"host": TargetState.VERIFIED, "edge": TargetState.VERIFIED, "pods": TargetState.VERIFIED}),
        ("renewing", 1, {"host": TargetState.VERIFIED, "edge": TargetState.VERIFIED, "pods": TargetState.VERIFIED}),
        ("failing", 1, {"host": TargetState.VERIFIED, "edge": TargetState.VERIFIED, "pods": TargetState.VERIFIED}),
        ("unreported", 1, {"host": TargetState.VERIFIED, "edge": TargetState.VERIFIED, "pods": TargetState.VERIFIED}),
        ("delivering", 3, {"host": TargetState.DELIVERED, "edge": TargetState.PENDING, "pods": TargetState.PENDING}),
        ("failed", 2, {"host": TargetState.PENDING, "edge": TargetState.FAILED, "pods": TargetState.PENDING}),
    ):
        rollout, stored = await home.rollout(name), home.stored.certificate(name)
        assert (rollout.certificate.state, rollout.certificate.ordered) == (stored["state"], stored["ordered"])
        assert rollout.wanted == wanted == stored["wanted"], name
        assert {item.target: rollout.target_state(item) for item in rollout.placements} == states, name
        assert {item.generation for item in rollout.placements} == {wanted}
        assert {item.proven for item in rollout.endpoints} == {stored["proven"]}
        assert rollout.certificate.unreadable is None
        assert {item.name for item in rollout.certificate.intent.targets} == set(states)
    failed = (await home.rollout("failed")).placement("edge")
    assert failed is not None
    assert (failed.failure, failed.next_try is not None) == ("unreachable: no answer", True)
    # Where the new one wasn't seen, the one that was proven last is accepted still.
    rollout = await home.rollout("delivering")
    assert [item.number for item in rollout.accepted_at(rollout.endpoints[0])] == [2]


async def test_each_certificate_is_found_by_what_it_is(home: Home) -> None:
    stored = {(row["name"], row["kind"], row["value"]) for row in await home.rows("certificate_fact")}
    columns = {row["name"]: row for row in await home.rows("certificate")}
    expected, ended, told = set(), 0, set()
    for row in home.stored.rows["certificate"]:
        rollout, shown = await home.rollout(row["name"]), columns[row["name"]]
        intent, (seen, leaf) = rollout.certificate.intent, (rollout.served_until, rollout.shown)
        expected |= {(row["name"], str(kind), value) for kind, value in facts_of(row["name"], intent)}
        assert shown["served_until"] == (seen or NEVER), row["name"]
        assert (shown["ca"], shown["key_algorithm"]) == (leaf.ca if leaf else "", intent.key_algorithm), row["name"]
        assert rollout.certificate.overview == rollout.overview(), row["name"]
        ended += seen is not None
        told.add(rollout.overview())
    assert stored == expected
    assert {value for name, kind, value in stored if (name, kind) == ("live", "site")} == {"site1", "site2"}
    assert ended > FEW
    assert {(one.targets_done, one.endpoints_done) for one in told} >= {(0, 0), (1, 0)}
    assert max(one.endpoints_done for one in told) > 0


async def test_what_was_live_stays_live_and_is_not_issued_again(home: Home) -> None:
    world = home.world
    counted = select(func.count()).select_from(tables.event)
    events = await home.database.read(lambda connection: connection.execute(counted).scalar_one())
    seen = ProbeRound(worker="monitor", started=NOON, ended=NOON, period_s=60.0, looked=1)
    await world.hear(Report(seen, "hub", "monitor", "round"))
    await world.renewals.sweep()
    await world.health.sweep()
    for row in await home.rows("certificate"):
        stored = home.stored.certificate(row["name"])
        assert (row["state"], row["ordered"]) == (stored["state"], stored["ordered"]), row["name"]
    shown = {row["name"]: row["health"] for row in await home.rows("certificate")}
    assert {shown[f"many-{number}"] for number in range(FEW)} == {Health.OK}
    assert {name: health for name, health in shown.items() if not name.startswith("many-")} == {
        "waiting": Health.PROGRESSING,
        "denied": Health.NONE,
        "approved": Health.PROGRESSING,
        "issuing": Health.PROGRESSING,
        "failing-first": Health.DEGRADED,
        "delivering": Health.DEGRADED,
        "live": Health.OK,
        "renewing": Health.OK,
        "failing": Health.DEGRADED,
        "failed": Health.DEGRADED,
        "unreported": Health.OK,
        "ended": Health.OK,
        "changed": Health.DEGRADED,
        "odd": Health.OK,
        "newer": Health.OK,
        "old-name": Health.OK,
    }
    query = select(tables.event.c.type).order_by(tables.event.c.sequence).offset(events)
    kinds = await home.database.read(lambda connection: set(connection.execute(query).scalars()))
    assert kinds == {"certbus.certificate.health_changed.v1"}


async def test_every_site_can_read_what_it_should_hold(home: Home) -> None:
    def work(transaction: Transaction) -> list[DeploymentOrdered]:
        found: list[DeploymentOrdered] = []
        after = ""
        while True:
            page = home.world.levels.page(transaction, "site1", "syncer", after=after, limit=500, known=frozenset())
            found += page.items or ()
            if page.further is None:
                return found
            after = page.further

    found = await home.world.store.read(work)
    orders = {item.name: item for item in found}
    assert set(orders) == {row["name"] for row in home.stored.rows["certificate"] if row["wanted"] > 0}
    [placement] = orders["live"].placements
    assert (placement.generation, placement.revision, placement.target.name) == (3, 3, "host")


async def test_the_issuer_and_the_monitor_can_read_what_they_should_do(home: Home) -> None:
    def work(transaction: Transaction) -> tuple[set[str], set[str]]:
        orders = issue_orders(transaction, after="", limit=500, known=frozenset()).items or ()
        expected = expectations(transaction, after="", limit=500, known=frozenset()).items or ()
        wanted = home.world.levels.wanted_csrs(transaction, "site1", "syncer", after="", limit=500, known=frozenset())
        assert wanted.items == ()
        return {order.name for order in orders}, {item.name for item in expected}

    orders, expected = await home.world.store.read(work)
    assert orders == {"approved", "issuing", "failing-first", "failing", "renewing", "unreported"}
    assert expected == {row["name"] for row in home.stored.rows["certificate"] if row["wanted"] > 0}


async def test_the_secrets_of_a_site_are_listed_page_by_page(home: Home) -> None:
    secrets = [
        DiscoveredSecret(cluster="east", namespace="web", secret=f"s{number}", manager="") for number in range(3)
    ]

    def work(transaction: Transaction) -> list[str]:
        transaction.reviews.put("site1", secrets, review="r")
        found, after = [], None
        while True:
            page, after = transaction.reviews.page("site1", after=after, limit=2)
            found += [item.secret for item in page]
            if after is None:
                break
        transaction.reviews.drop("site1", [("east", "web", "s1")])
        transaction.reviews.drop_others("site1", review="r")
        return found

    assert await home.world.store.write(work) == ["tls", "s0", "s1", "s2"]
    assert {row["secret"] for row in await home.rows("site_secret")} == {"s0", "s2"}


@pytest.mark.parametrize("version", [1, 2])
async def test_a_rollout_goes_on_with_reports_of_both_contracts(home: Home, version: int) -> None:
    name, world = {1: "delivering", 2: "failed"}[version], home.world
    rollout = await home.rollout(name)
    number, certificate_id = rollout.wanted, rollout.certificate.id
    leaf = rollout.revision(number, "platform")
    assert leaf is not None
    for placement in rollout.placements:
        facts = {
            "certificate_id": certificate_id,
            "revision": number,
            "target": placement.target,
            "fingerprint_sha256": leaf.fingerprint_sha256,
        }
        event: Event = (
            DeliverySucceededV1.model_validate(facts)
            if version == 1
            else DeliverySucceeded.model_validate({**facts, "generation": placement.generation})
        )
        await world.hear(Report(event, placement.place, placement.service, f"{name} {placement.target}"))
    for endpoint in rollout.endpoints:
        seen = EndpointObserved(
            certificate_id=certificate_id,
            url=endpoint.url,
            verdict=ServingVerdict.WANTED,
            served_revision=number,
            served_fingerprint_sha256=leaf.fingerprint_sha256,
            addresses=(),
            observed_at=NOON,
        )
        await world.hear(Report(seen, "hub", "monitor", f"{name} {endpoint.url}"))
    present = await home.rollout(name)
    assert (present.certificate.state, present.certificate.health) == (CertificateState.LIVE, Health.OK)
    # The next order of these placements has a higher generation than any before.
    assert present.certificate.generation > number


async def test_an_empty_database_gets_the_same_schema(tmp_path: Path) -> None:
    made = a_database(f"sqlite:///{tmp_path / 'new.db'}")
    await made.upgrade(MIGRATIONS)
    found = MetaData()
    await made.read(found.reflect)
    await made.close()
    assert set(found.tables) == {*tables.metadata.tables, "alembic_version"}
