"""Two replicas that change one certificate at once: each change counts, none counts twice, nobody sees a fault."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from datetime import timedelta, timezone
from functools import partial
from itertools import count

import pytest
import pytest_asyncio
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from certcore.api import CertificateState, Role
from certcore.certificate import CertificateSpec, Exposure
from certcore.events import DeliverySucceeded, EndpointObserved, Event, RevisionIssued, ServingVerdict
from certkit.prepared import Prepared
from registry.adapters import tables
from registry.adapters.store import RowChangedError, Transaction
from registry.domain.access import Principal
from registry.domain.decision import Decision
from registry.domain.errors import ConflictError
from tests.authority import Authority, Issued
from tests.integration.registry.world import ANA, HOST, MIGRATIONS, NOON, PLACES, SPEC, Report, World, a_database
from tests.postgres_server import database

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

ROUNDS = 12
PUBLIC = SPEC.model_copy(update={"exposure": Exposure.PUBLIC, "dns_names": ("app.example.test",)})

Replicas = tuple[World, World]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def replicas(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Replicas]:
    async with database(request.param, tmp_path_factory.mktemp("replicas")) as url:
        databases = a_database(url), a_database(url)
        await databases[0].upgrade(MIGRATIONS)
        first, second = (World(item, ids=f"r{number}") for number, item in enumerate(databases))
        await first.enrol()
        yield first, second
        for item in databases:
            await item.close()


class Story:
    """A certificate of its own, told by both replicas."""

    names = count(1)

    def __init__(self, replicas: Replicas) -> None:
        self.first, self.second = replicas
        self.authority = Authority()

    async def begin(self, spec: CertificateSpec = SPEC) -> None:
        name = f"app-{next(self.names)}"
        certificate_id = await self.first.submit(spec.model_copy(update={"name": name}))
        self.name = name
        self.first.certificate_id = self.second.certificate_id = certificate_id

    async def live(self) -> Issued:
        await self.begin()
        issued = await self.first.issue(self.authority)
        for report in [*self.delivered(issued, 1, 1), *self.seen(issued, 1)]:
            await self.first.hear(report)
        return issued

    def report(self, event: Event, place: str, service: str) -> Report:
        return Report(event, place, service, self.first.new_id())

    def delivered(self, issued: Issued, revision: int, generation: int) -> list[Report]:
        return [
            self.report(
                DeliverySucceeded(
                    certificate_id=self.first.certificate_id,
                    generation=generation,
                    revision=revision,
                    target=target,
                    fingerprint_sha256=issued.fingerprint,
                ),
                *place,
            )
            for target, place in PLACES.items()
        ]

    def seen(self, issued: Issued, revision: int) -> list[Report]:
        return [
            self.report(
                EndpointObserved(
                    certificate_id=self.first.certificate_id,
                    url=endpoint.url,
                    verdict=ServingVerdict.WANTED,
                    served_revision=revision,
                    served_fingerprint_sha256=issued.fingerprint,
                    addresses=(),
                    observed_at=NOON,
                ),
                "hub",
                "monitor",
            )
            for endpoint in SPEC.endpoints
        ]

    async def events(self, kind: str) -> int:
        query = select(tables.event.c.id).where(
            tables.event.c.about == self.first.certificate_id, tables.event.c.type.contains(f".{kind}.v")
        )
        return await self.first.database.read(lambda connection: len(connection.execute(query).all()))


async def at_once(*works: Awaitable[object]) -> list[object]:
    return list(await asyncio.gather(*works, return_exceptions=True))


async def test_what_was_saved_by_somebody_else_is_not_overwritten(replicas: Replicas) -> None:
    story = Story(replicas)
    await story.begin()
    mine, theirs = await story.first.rollout(), await story.second.rollout()
    saved = await story.first.store.write(
        lambda transaction: transaction.certificates.save(replace(mine.certificate, reason="mine"))
    )
    assert saved.version == mine.certificate.version + 1
    with pytest.raises(RowChangedError, match=story.name):
        await story.second.store.write(
            lambda transaction: transaction.certificates.save(replace(theirs.certificate, reason="theirs"))
        )
    assert (await story.second.rollout()).certificate.reason == "mine"


async def test_work_is_done_again_with_what_was_saved_meanwhile(replicas: Replicas) -> None:
    story = Story(replicas)
    await story.begin()
    stale = (await story.first.rollout()).certificate
    await story.second.store.write(lambda transaction: transaction.certificates.save(replace(stale, reason="theirs")))
    seen: list[str] = []

    def work(transaction: Transaction) -> None:
        present = transaction.certificates.get(stale.id)
        assert present is not None
        # The first time with a copy from before, as where somebody saves between load and save.
        certificate = present if seen else stale
        seen.append(certificate.reason)
        transaction.certificates.save(replace(certificate, reason=f"{certificate.reason} and mine"))

    await story.first.store.write(work)
    assert seen == [stale.reason, "theirs"]
    assert (await story.first.rollout()).certificate.reason == "theirs and mine"

    def hopeless(transaction: Transaction) -> None:
        transaction.certificates.save(stale)

    with pytest.raises(RowChangedError):
        await story.first.store.write(hopeless)


def person(name: str) -> Principal:
    return Principal(name, "security", frozenset({Role.APPROVER}))


async def test_of_two_approvals_at_once_one_counts(replicas: Replicas) -> None:
    for _ in range(ROUNDS):
        story = Story(replicas)
        await story.begin(PUBLIC)
        [request] = await story.first.store.read(
            lambda transaction: transaction.requests.page(limit=1, state="waiting")
        )
        first, second = story.first, story.second
        decisions = (
            partial(first.requests.approve, request_id=request.id, person=person("ben"), comment=""),
            partial(second.requests.approve, request_id=request.id, person=person("eve"), comment=""),
            partial(second.requests.deny, request_id=request.id, person=person("dan"), reason="no"),
        )
        found = await at_once(
            *(
                replica.store.write(decision)
                for replica, decision in zip((first, second, second), decisions, strict=True)
            )
        )
        refused = [item for item in found if not isinstance(item, Decision)]
        assert [type(item) for item in refused] == [ConflictError] * 2, refused
        assert await story.events("approved") + await story.events("denied") == 1


async def test_a_report_and_a_renewal_at_once_both_count(replicas: Replicas) -> None:
    for _ in range(ROUNDS):
        story = Story(replicas)
        issued = await story.live()
        # It was repaired: the target tells it once more, as a service that forgot that it had told it.
        reports = [*story.delivered(issued, 1, 1), *story.seen(issued, 1)]
        found = await at_once(
            *(story.first.hear(report) for report in reports),
            story.second.renew(story.name, person="ana"),
        )
        assert not [item for item in found if isinstance(item, BaseException)], found
        rollout = await story.first.rollout()
        assert (rollout.certificate.state, rollout.certificate.ordered) == (CertificateState.RENEWING, 2)
        assert {(item.held, item.wanted) for item in rollout.placements} == {(1, 1)}
        assert await story.events("renewal_due") == 1


async def test_an_old_report_and_a_new_revision_at_once_both_count(replicas: Replicas) -> None:
    for _ in range(ROUNDS):
        story = Story(replicas)
        await story.begin()
        first = await story.first.issue(story.authority)
        await story.first.hear(story.delivered(first, 1, 1)[0])
        await story.first.renew(story.name, person="ana")
        second = story.authority.issue(HOST, not_before=NOON, not_after=NOON.replace(month=6))
        await story.first.hand_over(2, second)
        announced = RevisionIssued(
            certificate_id=story.first.certificate_id,
            revision=2,
            fingerprint_sha256=second.fingerprint,
            ca="ca",
            validation_method="dns-01",
            ari_id=None,
        )
        found = await at_once(
            story.second.hear(story.report(announced, "hub", "issuer")),
            *(story.first.hear(report) for report in story.delivered(first, 1, 1)),
        )
        assert not [item for item in found if isinstance(item, BaseException)], found
        rollout = await story.first.rollout()
        assert {(item.wanted, item.generation) for item in rollout.placements} == {(2, 2)}


async def test_the_last_two_reports_at_once_make_it_live_once(replicas: Replicas) -> None:
    for _ in range(ROUNDS):
        story = Story(replicas)
        await story.begin()
        issued = await story.first.issue(story.authority)
        reports = [*story.delivered(issued, 1, 1), *story.seen(issued, 1)]
        found = await at_once(
            *((story.first if number % 2 else story.second).hear(report) for number, report in enumerate(reports))
        )
        # Five tries may not be enough for six at once: the bus brings them again.
        for report, result in zip(reports, found, strict=True):
            if isinstance(result, RowChangedError):
                await story.first.hear(report)
            else:
                assert result is None, result
        assert (await story.first.rollout()).certificate.state is CertificateState.LIVE
        assert (await story.events("live"), await story.events("delivered")) == (1, 3)


async def test_one_report_twice_at_once_is_handled_once(replicas: Replicas) -> None:
    for _ in range(ROUNDS):
        story = Story(replicas)
        await story.begin()
        issued = await story.first.issue(story.authority)
        report = story.delivered(issued, 1, 1)[0]
        found = await at_once(story.first.hear(report), story.second.hear(report))
        assert found == [None, None]
        assert await story.events("delivered") == 1


async def test_of_two_requests_for_one_name_at_once_one_counts(replicas: Replicas) -> None:
    for number in range(ROUNDS):
        spec = SPEC.model_copy(update={"name": f"twice-{number}"})

        async def submit(world: World, spec: CertificateSpec = spec) -> Decision:
            def work(transaction: Transaction) -> Decision:
                return world.requests.submit(transaction, spec, owner="shop", by=ANA)

            return await world.store.write(work)

        found = await at_once(*(submit(world) for world in replicas))
        decisions = [item for item in found if isinstance(item, Decision)]
        assert sorted(item.is_new for item in decisions) == [False, True], found
        assert len({item.request.id for item in decisions}) == 1


# ── what the driver is handed ───────────────────────────────────────────────────────────────────────────────────────


async def test_what_the_driver_stores_and_finds_is_what_sqlalchemy_finds(replicas: Replicas) -> None:
    """A null, a number with a fraction, an instant, and JSON, which a driver of PostgreSQL has its own ways for."""
    values = {
        "place": "driven",
        "service": "100% ü",
        "version": None,
        "last_heartbeat": NOON + timedelta(microseconds=1),
        "kinds": ["files", {"a": None}],
        "contract": 3,
        "stood_still_s": 0.1,
        "started": NOON.astimezone(timezone(timedelta(hours=2))),
    }
    query = select(tables.service).where(tables.service.c.place == "driven")

    def stored(connection: Connection) -> None:
        assert Prepared(insert(tables.service)).change(connection, values) == 1

    def found(connection: Connection) -> None:
        (one,) = Prepared(query).rows(connection)
        assert one._asdict() == connection.execute(query).mappings().one()
        assert {name: one._asdict()[name] for name in values} == values
        nowhere = Prepared(update(tables.service).where(tables.service.c.place == "none"))
        assert nowhere.change(connection, {"contract": 4}) == 0

    await replicas[0].database.write(stored)
    await replicas[1].database.write(found)
    with pytest.raises(IntegrityError) as raised:
        await replicas[1].database.write(stored)
    assert "0.1" not in str(raised.value)
