"""Levels: they show what was announced, and a page that didn't change costs one statement."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

import pytest
import pytest_asyncio
from pydantic import BaseModel
from sqlalchemy import Connection, Update, select, update

from certcore.api import CertificateState
from certcore.events import DeliverySucceeded, DeploymentOrdered, IssueOrder, RevisionFailed
from registry.adapters import tables
from registry.adapters.store import Transaction
from registry.domain.planning import RenewalReason
from registry.domain.renewal import order
from registry.domain.revision import SigningRequest, SigningState
from registry.domain.site import ServiceSeen
from registry.handlers.deployments import Deployments
from registry.handlers.levels import LevelPage, expectations, issue_orders
from tests.authority import Authority
from tests.integration.registry.statements import counted, scanned
from tests.integration.registry.world import NOON, SPEC, Report, World, schema, world

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ItemT = TypeVar("ItemT", bound=BaseModel)
Look = Callable[[Transaction, frozenset[str]], LevelPage[BaseModel]]

NOTHING: Final[frozenset[str]] = frozenset()
AUTHORITY: Final = Authority()


@pytest_asyncio.fixture(loop_scope="module")
async def made(tmp_path: Path) -> AsyncIterator[World]:
    async with world(await schema(tmp_path), "levels") as found:
        yield found


async def told(made: World, event_type: str) -> list[dict[str, object]]:
    """The bodies of what was announced or ordered, in order."""
    row = tables.event
    query = select(row.c.data).where(row.c.type == event_type).order_by(row.c.sequence)
    return [json.loads(data) for data in await made.database.read(lambda c: list(c.execute(query).scalars()))]


async def orders(made: World, *, limit: int = 500) -> list[IssueOrder]:
    found: list[IssueOrder] = []
    after: str | None = ""
    while after is not None:
        at = after
        page = await made.store.read(lambda t: issue_orders(t, after=at, limit=limit, known=NOTHING))  # noqa: B023 # awaited here
        found += page.items or ()
        after = page.further
    return found


async def change(made: World, statement: Update) -> None:
    await made.database.write(lambda connection: connection.execute(statement).close())


async def deployments(
    made: World, known: frozenset[str] = NOTHING, *, limit: int = 500
) -> LevelPage[DeploymentOrdered]:
    return await made.store.read(lambda t: made.levels.page(t, "site1", "syncer", after="", limit=limit, known=known))


async def renew(made: World) -> None:
    def work(transaction: Transaction) -> None:
        rollout = transaction.rollouts.get(made.certificate_id)
        assert rollout is not None
        approval = transaction.approvals.get(rollout.certificate.approval_id)
        assert approval is not None
        change = order(
            rollout, approval, transaction.sites.all(), RenewalReason.ASKED, traceparent=None, now=made.clock()
        )
        made.changes.save(transaction, rollout, change)

    await made.store.write(work)


async def fail(made: World, revision: int, *, again: bool = True) -> None:
    next_try = NOON + timedelta(hours=1) if again else None
    event = RevisionFailed(certificate_id=made.certificate_id, revision=revision, reason="refused", next_try=next_try)
    await made.hear(Report(event, "hub", "issuer", made.new_id()))


async def issued(made: World, revision: int) -> None:
    """Handed over and announced."""
    if revision > 1:
        await renew(made)
    await made.issue(AUTHORITY, revision)


# ── orders ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_ordered_is_listed_as_it_was_announced_until_it_is_issued(made: World) -> None:
    (approved,) = await told(made, "certbus.certificate.approved.v1")
    assert [item.model_dump(mode="json") for item in await orders(made)] == [approved["order"]]
    await fail(made, 1)
    assert [item.model_dump(mode="json") for item in await orders(made)] == [approved["order"]]
    await fail(made, 1, again=False)
    assert [item.model_dump(mode="json") for item in await orders(made)] == [approved["order"]]
    await renew(made)
    (again,) = await told(made, "certbus.certificate.renewal_due.v1")
    assert [item.model_dump(mode="json") for item in await orders(made)] == [again["order"]]
    await made.issue(AUTHORITY, 1)
    assert await orders(made) == []
    await renew(made)
    _, renewal = await told(made, "certbus.certificate.renewal_due.v1")
    await made.hand_over(2)
    assert [item.model_dump(mode="json") for item in await orders(made)] == [renewal["order"]]


async def test_a_page_of_orders_changes_its_etag_with_orders_sites_and_epoch(made: World) -> None:
    async def etag() -> str:
        return (await made.store.read(lambda t: issue_orders(t, after="", limit=9, known=NOTHING))).etag

    etags = [await etag()]
    await made.store.write(lambda t: t.sites.enrol("site3", {"syncer": "d"}, NOON))
    etags.append(await etag())
    await fail(made, 1)
    etags.append(await etag())
    assert await etag() == etags[-1]
    await made.store.write(lambda t: t.epochs.begin(1, reason="a copy", now=NOON))
    etags.append(await etag())
    # Some may be issued already: the issuer reports first.
    assert await orders(made) == []
    await made.store.write(lambda t: t.epochs.end_waiting(1))
    etags.append(await etag())
    assert len(set(etags)) == 5
    assert await orders(made) != []


async def test_a_signing_request_is_listed_from_its_acceptance_to_its_issue(made: World) -> None:
    await issued(made, 1)
    request = SigningRequest(made.certificate_id, 1, "cdn", "cdn", SigningState.WANTED, NOON)

    async def listed(**changes: object) -> list[tuple[str, str | None]]:
        changed = replace(request, **changes)  # type: ignore[arg-type] # of the fields that are named
        await made.store.write(lambda t: t.signing_requests.save(changed))
        return [(item.variant, item.csr_pem) for item in await orders(made)]

    assert await listed() == []
    assert await listed(state=SigningState.ORDERED, csr_pem="csr") == [("cdn", "csr")]
    assert await listed(state=SigningState.ORDERED, csr_pem="csr", failure="refused") == [("cdn", "csr")]
    assert await listed(state=SigningState.ISSUED) == []


async def test_the_platform_s_order_is_listed_although_another_variant_is_live(made: World) -> None:
    await renew_and_set(made)
    assert [(item.revision, item.variant) for item in await orders(made)] == [(2, "platform")]


async def renew_and_set(made: World) -> None:
    """Revision 2 is live by the variant of a target that makes its own key, and not issued by the platform."""
    await issued(made, 1)
    await renew(made)
    request = SigningRequest(made.certificate_id, 2, "cdn", "cdn", SigningState.ISSUED, NOON)

    def work(transaction: Transaction) -> None:
        transaction.signing_requests.save(request)
        rollout = transaction.rollouts.get(made.certificate_id)
        assert rollout is not None
        transaction.certificates.save(replace(rollout.certificate, state=CertificateState.LIVE))

    await made.store.write(work)


async def test_orders_go_on_page_by_page_each_once(made: World) -> None:
    for number in range(5):
        await made.submit(SPEC.model_copy(update={"name": f"app-{number}"}))
    found = await orders(made, limit=2)
    assert len(found) == 6
    assert found == await orders(made)
    assert [item.certificate_id for item in found] == sorted(item.certificate_id for item in found)


async def test_an_intent_that_is_not_the_approved_one_is_not_listed(made: World) -> None:
    await change(made, update(tables.certificate).values(spec_hash="other"))
    assert await orders(made) == []


# ── deployments ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_deployment_is_listed_as_it_was_ordered(made: World) -> None:
    await issued(made, 1)
    found = (await deployments(made)).items
    assert found is not None
    ordered = await told(made, "certbus.deployment.ordered.v2")
    assert len(ordered) == 3
    assert found[0].model_dump(mode="json") in ordered


async def test_a_page_changes_its_etag_with_what_is_ordered_and_not_with_what_is_reported(made: World) -> None:
    etags: list[str] = []

    async def seen() -> bool:
        """Whether it is another than before."""
        before = etags[-1] if etags else ""
        etags.append((await deployments(made)).etag)
        return etags[-1] != before

    await seen()
    await issued(made, 1)
    assert await seen()
    done = DeliverySucceeded(
        certificate_id=made.certificate_id,
        target="host",
        generation=1,
        revision=1,
        fingerprint_sha256="a" * 64,
    )
    await made.hear(Report(done, "site1", "syncer", made.new_id()))
    assert not await seen()
    await made.store.write(lambda t: t.services.save(ServiceSeen("site1", "syncer", "1", NOON, ("kubernetes",))))
    assert await seen(), "the service delivers to other kinds"
    assert (await deployments(made)).items == ()
    await made.store.write(lambda t: t.services.save(ServiceSeen("site1", "syncer", "1", NOON, ("files",))))
    assert await seen()
    await change(made, update(tables.bundle).values(sealed=b"anew"))
    assert await seen(), "the bundle was sealed anew"
    await issued(made, 2)
    assert await seen()
    assert len(set(etags)) == len(etags) - 1


async def test_a_page_that_the_caller_has_is_one_statement_and_one_that_it_has_not_is_four(made: World) -> None:
    await issued(made, 1)
    for number in range(60):
        made.certificate_id = await made.submit(SPEC.model_copy(update={"name": f"app-{number}"}))
        await made.issue(AUTHORITY, 1)
    for limit in (10, 500):
        with counted() as statements:
            page = await deployments(made, limit=limit)
        assert page.items is not None
        assert len(page.items) == min(limit, 61)
        assert len(without_transaction(statements)) <= 4
        with counted() as statements:
            again = await deployments(made, frozenset({page.etag, "other"}), limit=limit)
        assert (again.etag, again.items, again.further) == (page.etag, None, page.further)
        assert len(without_transaction(statements)) == 1


async def test_what_was_built_for_a_page_is_built_again_only_where_it_changed(made: World) -> None:
    await issued(made, 1)
    first = await deployments(made)
    with counted() as statements:
        again = await deployments(made)
    assert (again.etag, again.items) == (first.etag, first.items)
    assert len(without_transaction(statements)) == 1
    other = await made.submit(SPEC.model_copy(update={"name": "other"}))
    made.certificate_id, renewed = other, made.certificate_id
    await made.issue(AUTHORITY, 1)
    made.certificate_id = renewed
    await issued(made, 2)
    await made.store.write(lambda t: t.services.save(ServiceSeen("site1", "syncer", "1", NOON, ("files",))))
    now = await deployments(made)
    anew = await made.store.read(
        lambda t: Deployments(changes=made.changes).page(t, "site1", "syncer", after="", limit=500, known=NOTHING)
    )
    assert now.items == anew.items
    assert now.items is not None
    revisions = {item.certificate_id: item.placements[0].revision for item in now.items}
    assert revisions == {renewed: 2, other: 1}


def without_transaction(statements: list[str]) -> list[str]:
    return [statement for statement in statements if not statement.startswith("BEGIN")]


async def test_every_level_costs_one_statement_or_two_where_nothing_changed(made: World) -> None:
    await issued(made, 1)
    looks: dict[str, Look] = {
        "orders": lambda t, known: issue_orders(t, after="", limit=500, known=known),
        "csrs": lambda t, known: made.levels.wanted_csrs(t, "site1", "syncer", after="", limit=500, known=known),
        "expectations": lambda t, known: expectations(t, after="", limit=500, known=known),
    }
    for name, look in looks.items():
        etag = (await made.store.read(lambda t: look(t, NOTHING))).etag  # noqa: B023 # awaited here
        with counted() as statements:
            page = await made.store.read(lambda t: look(t, frozenset({etag})))  # noqa: B023 # awaited here
        assert page.items is None, name
        # Orders look at the epoch too.
        assert len(without_transaction(statements)) == (2 if name == "orders" else 1), name


async def test_no_level_looks_through_a_table_that_grows(made: World) -> None:
    await issued(made, 1)

    def work(connection: Connection) -> set[str]:
        transaction = Transaction(connection)
        with scanned(connection) as tables_seen:
            made.levels.page(transaction, "site1", "syncer", after="", limit=500, known=NOTHING)
            made.levels.wanted_csrs(transaction, "site1", "syncer", after="", limit=500, known=NOTHING)
            issue_orders(transaction, after="", limit=500, known=NOTHING)
            expectations(transaction, after="", limit=500, known=NOTHING)
            transaction.revisions.sealed_keys([(made.certificate_id, 1, "platform")])
        return tables_seen

    growing = {"certificate", "placement", "revision", "bundle", "signing_request", "endpoint", "approval", "event"}
    assert not await made.database.read(work) & growing


# ── expectations ────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_expectation_is_listed_as_it_was_announced(made: World) -> None:
    await issued(made, 1)
    first = await made.store.read(lambda t: expectations(t, after="", limit=10, known=NOTHING))
    (announced,) = await told(made, "certbus.endpoints.expected.v2")
    assert first.items is not None
    assert [item.model_dump(mode="json") for item in first.items] == [announced]
    await issued(made, 2)
    second = await made.store.read(lambda t: expectations(t, after="", limit=10, known=frozenset({first.etag})))
    assert second.items is not None
    _, announced = await told(made, "certbus.endpoints.expected.v2")
    assert [item.model_dump(mode="json") for item in second.items] == [announced]


async def test_a_page_of_expectations_changes_its_etag_with_what_it_shows(made: World) -> None:
    pages: list[tuple[str, str]] = []

    async def look() -> None:
        page = await made.store.read(lambda t: expectations(t, after="", limit=10, known=NOTHING))
        assert page.items is not None
        pages.append((page.etag, "".join(item.model_dump_json() for item in page.items)))

    await look()
    await issued(made, 1)
    await look()
    await renew(made)
    await look()
    await made.hand_over(2)
    await look()
    await made.store.write(lambda t: t.epochs.begin(1, reason="a copy", now=NOON))
    await look()
    contents: dict[str, set[str]] = {}
    for etag, content in pages:
        contents.setdefault(etag, set()).add(content)
    assert all(len(shown) == 1 for shown in contents.values())
    assert len(contents) == len(pages)
