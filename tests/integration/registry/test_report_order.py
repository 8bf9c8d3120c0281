"""Reports that come twice, late and in any order a bus may bring them: the same truth and the same announcements."""

import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from certcore.bundles import IssuedBundle, SealedKey
from certcore.certificate import CertificateSpec
from certcore.cloudevents import Envelope
from certcore.events import (
    DeliveryFailed,
    DeliveryReason,
    DeliverySucceeded,
    EndpointObserved,
    Event,
    RevisionFailed,
    RevisionIssued,
    RevisionStarted,
    ServingVerdict,
)
from certcore.subjects import status
from certkit.database import make_engine, upgrade
from registry import adapters
from registry.adapters import tables
from registry.adapters.outbox import Bell, Outbox
from registry.adapters.store import Store
from registry.handlers.bundles import Bundles
from registry.handlers.renewals import Renewals
from registry.handlers.reports.deliveries import DeliveryReports
from registry.handlers.reports.observations import ObservationReports
from registry.handlers.reports.once import Once
from registry.handlers.reports.revisions import RevisionReports
from registry.handlers.requests import Requests
from tests.authority import Authority, Issued

pytestmark = pytest.mark.integration

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
SEEDS: Final = 6
HOST: Final = "app.internal.example.test"
SPEC: Final = CertificateSpec.model_validate(
    {
        "name": "app",
        "dns_names": [HOST],
        "exposure": "internal",
        "targets": [
            {"kind": "files", "name": "host", "site": "site1"},
            {"kind": "haproxy", "name": "edge", "site": "site1"},
            {"kind": "files", "name": "far", "site": "site2"},
        ],
        "endpoints": [
            {"url": f"https://{HOST}:8441", "target": "host"},
            {"url": f"https://{HOST}:8442", "target": "edge"},
            {"url": f"https://{HOST}:8443"},
        ],
    }
)
PLACES: Final = {"host": ("site1", "syncer"), "edge": ("site1", "pusher"), "far": ("site2", "syncer")}
ISSUED: Final = {number: Authority().issue(HOST) for number in (1, 2)}


@dataclass(frozen=True)
class Report:
    """A report as it was published. `again` may come a second time under an id of its own."""

    event: Event
    place: str
    service: str
    id: str
    again: bool = True

    @property
    def envelope(self) -> Envelope:
        subject = status(self.place, self.service, self.event.type, "app")
        return Envelope(id=self.id, type=self.event.type, source=f"certbus/{self.service}", subject=subject)


@dataclass
class World:
    """The registry's own objects on a database of their own, with a clock that stands still."""

    engine: AsyncEngine
    certificate_id: str = ""
    _numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.store = Store(self.engine)
        bell, tracer = Bell(), TracerProvider().get_tracer("test")
        outbox = Outbox(clock=self.clock, new_id=self.new_id)
        self.requests = Requests(
            store=self.store,
            outbox=outbox,
            clock=self.clock,
            new_id=self.new_id,
            tracer=tracer,
            issuers=frozenset(),
        )
        self.renewals = Renewals(store=self.store, outbox=outbox, bell=bell, clock=self.clock, tracer=tracer)
        self.bundles = Bundles(store=self.store, clock=self.clock)
        once = Once(store=self.store, bell=bell, clock=self.clock)
        self.handlers = {
            **RevisionReports(once=once, outbox=outbox, clock=self.clock).handlers(),
            **DeliveryReports(once=once, outbox=outbox, clock=self.clock).handlers(),
            **ObservationReports(once=once, outbox=outbox, clock=self.clock).handlers(),
        }

    def clock(self) -> datetime:
        return NOON

    def new_id(self) -> str:
        return f"id-{next(self._numbers)}"

    async def begin(self) -> None:
        async with self.store.transaction() as transaction:
            await transaction.sites.enrol("site1", {"syncer": "a", "pusher": "b"}, NOON)
            await transaction.sites.enrol("site2", {"syncer": "c"}, NOON)
            done = await self.requests.submit(transaction, SPEC, owner="shop", requester="ana")
        self.certificate_id = done.certificate.id

    async def hand_over(self, revision: int) -> None:
        names = sorted({f"{site}-{service}" for site, service in PLACES.values()})
        keys = tuple(SealedKey.of(name, f"sealed to {name}".encode()) for name in names)
        issued = IssuedBundle(chain_pem=ISSUED[revision].chain_pem, keys=keys)
        await self.bundles.store(self.certificate_id, revision, issued, actor="issuer")

    async def hear(self, report: Report) -> None:
        await self.handlers[type(report.event)](report.event, report.envelope)

    async def truth(self) -> dict[str, Any]:
        """All rows but the inbox's, and what was announced and ordered, however often and in whatever order."""
        async with self.engine.connect() as connection:
            found: dict[str, Any] = {
                table.name: sorted(map(repr, (await connection.execute(select(table))).all()))
                for table in tables.metadata.sorted_tables
                if table not in (tables.event, tables.inbox)
            }
            rows = (await connection.execute(select(tables.event))).all()
        return found | {"events": Counter((row.type, row.subject, row.data) for row in rows)}


@pytest_asyncio.fixture
async def empty(tmp_path: Path) -> Path:
    """A database with its schema: it is made once and copied."""
    path = tmp_path / "empty.db"
    engine = make_engine(f"sqlite+aiosqlite:///{path}")
    await upgrade(engine, Path(adapters.__path__[0]).parent / "migrations")
    await engine.dispose()
    return path


@asynccontextmanager
async def world(empty: Path, name: str) -> AsyncIterator[World]:
    path = empty.with_name(f"{name}.db")
    shutil.copy(empty, path)
    engine = make_engine(f"sqlite+aiosqlite:///{path}")
    try:
        made = World(engine)
        await made.begin()
        yield made
    finally:
        await engine.dispose()


def phases(certificate_id: str) -> list[list[Report]]:
    """A whole life, cut where one report is the cause of the next: within a phase any order may happen."""
    numbers = count(1)

    def report(event: Event, place: str, service: str, *, again: bool = True) -> Report:
        return Report(event, place, service, f"report-{next(numbers)}", again)

    def of_issuer(event: Event, *, again: bool = True) -> list[Report]:
        return [report(event, "hub", "issuer", again=again)]

    def started(revision: int) -> list[Report]:
        return of_issuer(RevisionStarted(certificate_id=certificate_id, revision=revision, ca="ca"))

    def issued(revision: int) -> list[Report]:
        event = RevisionIssued(
            certificate_id=certificate_id,
            revision=revision,
            fingerprint_sha256=ISSUED[revision].fingerprint,
            ca="ca",
            validation_method="dns-01",
            ari_id=None,
        )
        return of_issuer(event)

    def failed(revision: int) -> list[Report]:
        event = RevisionFailed(certificate_id=certificate_id, revision=revision, reason="no", next_try=None)
        return of_issuer(event, again=False)

    def not_delivered(revision: int) -> list[Report]:
        event = DeliveryFailed(
            certificate_id=certificate_id,
            revision=revision,
            target="edge",
            reason=DeliveryReason.UNREACHABLE,
            detail="",
            next_try=None,
        )
        return [report(event, *PLACES["edge"], again=False)]

    def rolled_out(revision: int) -> list[Report]:
        found = [
            report(
                DeliverySucceeded(
                    certificate_id=certificate_id,
                    revision=revision,
                    target=target,
                    fingerprint_sha256=ISSUED[revision].fingerprint,
                ),
                *place,
            )
            for target, place in PLACES.items()
        ]
        looks = [(ServingVerdict.UNREACHABLE, 1), (ServingVerdict.PREVIOUS, 2), (ServingVerdict.WANTED, 3)]
        for endpoint in SPEC.endpoints:
            found += [
                report(observed(endpoint.url, verdict, revision, ISSUED[revision], minute), "hub", "monitor")
                for verdict, minute in looks
            ]
        return found

    def observed(url: str, verdict: ServingVerdict, revision: int, leaf: Issued, minute: int) -> EndpointObserved:
        wanted = verdict is ServingVerdict.WANTED
        return EndpointObserved(
            certificate_id=certificate_id,
            url=url,
            verdict=verdict,
            served_revision=revision if wanted else None,
            served_fingerprint_sha256=leaf.fingerprint if wanted else None,
            addresses=(),
            observed_at=NOON + timedelta(hours=revision, minutes=minute),
        )

    return [
        *(started(1), issued(1), not_delivered(1), rolled_out(1)),
        *(started(2), failed(2), started(2), issued(2), rolled_out(2)),
    ]


async def live(world: World, brought: Callable[[list[Report], list[Report]], list[Report]]) -> dict[str, Any]:
    """The whole life; `brought` tells in what order, and with what from before, a phase's reports come."""
    before: list[Report] = []
    for number, phase in enumerate(phases(world.certificate_id)):
        if number in {4, 6}:
            await world.renewals.renew_now("app", person="ana")
        if number in {1, 7}:
            await world.hand_over(1 if number == 1 else 2)
        for report in brought(phase, before):
            await world.hear(report)
        before += phase
    return await world.truth()


def shuffled(order: random.Random) -> Callable[[list[Report], list[Report]], list[Report]]:
    numbers = count(1)

    def brought(phase: list[Report], before: list[Report]) -> list[Report]:
        found = list(phase)
        order.shuffle(found)
        # Once more what came before, as a redelivery has it or as a service that forgot that it had told it.
        for report in order.choices([*before, *phase], k=order.randrange(8)):
            earliest = found.index(report) + 1 if report in found else 0
            twin = report
            if report.again and order.random() < 0.5:
                twin = Report(report.event, report.place, report.service, f"twin-{next(numbers)}")
            found.insert(order.randrange(earliest, len(found) + 1), twin)
        return found

    return brought


async def test_any_order_and_any_number_of_reports_leads_to_one_truth(empty: Path) -> None:
    first = random.SystemRandom().randrange(2**32)
    print(f"seeds from {first}")
    async with world(empty, "in-order") as straight:
        expected = await live(straight, lambda phase, _: phase)
    assert "live" in expected["certificate"][0]
    kinds = Counter({kind.split(".")[2]: 0 for kind, _, _ in expected["events"]})
    for (kind, _, _), times in expected["events"].items():
        kinds[kind.split(".")[2]] += times
    assert kinds == {
        "requested": 1,
        "approved": 1,
        "issued": 2,
        "ordered": 6,
        "delivered": 6,
        "live": 2,
        "expected": 4,
        "renewal_due": 2,
        "failing": 1,
    }
    for seed in range(first, first + SEEDS):
        async with world(empty, str(seed)) as other:
            assert await live(other, shuffled(random.Random(seed))) == expected, f"seed {seed}"
