"""The registry's own objects on a database of their own, with a clock that stands still: no process, no broker."""

import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, Row, select

from certcore.api import Role
from certcore.audit_proof import AuditProof, prove
from certcore.bundles import IssuedBundle, SealedKey
from certcore.certificate import CertificateSpec
from certcore.cloudevents import Envelope
from certcore.door import RequestDoor
from certcore.events import Event, RevisionFailed, RevisionIssued
from certcore.policy.document import Policy
from certcore.policy.file import policy_digest
from certcore.subjects import route
from certcore.targets import FILES, HAPROXY, KUBERNETES, TargetKinds
from certkit.transactions import Database
from registry import adapters
from registry.adapters import tables
from registry.adapters.outbox import Bell, Outbox
from registry.adapters.store import Store, Transaction
from registry.domain.access import Principal
from registry.domain.certificate import Certificate
from registry.domain.rollout import Rollout
from registry.handlers.audit import AuditReading
from registry.handlers.bundles import Bundles
from registry.handlers.changes import Changes
from registry.handlers.deployments import Deployments
from registry.handlers.health import HealthSweep
from registry.handlers.http.auth import hash_token, new_token
from registry.handlers.policies import Policies
from registry.handlers.renewals import Renewals
from registry.handlers.reports.deliveries import DeliveryReports
from registry.handlers.reports.observations import ObservationReports
from registry.handlers.reports.once import Once
from registry.handlers.reports.revisions import RevisionReports
from registry.handlers.requests import Requests
from registry.handlers.rights import Rights
from registry.handlers.rights_changes import RightsChanges
from registry.handlers.second_admin import SecondAdmin
from registry.handlers.tokens import Tokens
from tests.authority import Authority, Issued
from tests.policies import open_policy

__all__ = [
    "ANA",
    "HOST",
    "ISSUED",
    "MIGRATIONS",
    "NOON",
    "PLACES",
    "PROVIDER",
    "SPEC",
    "Report",
    "World",
    "keep_policy",
    "schema",
    "world",
]

MIGRATIONS: Final = Path(adapters.__path__[0]).parent / "migrations"
PROVIDER: Final = "https://id.example.test"
NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOST: Final = "app.internal.example.test"
KINDS: Final = TargetKinds([FILES, HAPROXY, KUBERNETES])
SPEC: Final = RequestDoor(KINDS).model.model_validate(
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
ANA: Final = Principal("ana", "shop", frozenset({Role.REQUESTER}))
PLACES: Final = {"host": ("site1", "syncer"), "edge": ("site1", "pusher"), "far": ("site2", "syncer")}
ISSUED: Final = {
    number: Authority().issue(HOST, not_before=NOON - timedelta(hours=1), not_after=NOON + timedelta(days=90))
    for number in (1, 2)
}


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
        subject = route(self.event, place=self.place, service=self.service, about="app").subject
        return Envelope(id=self.id, type=self.event.type, source=f"certbus/{self.service}", subject=subject)


@dataclass
class World:
    database: Database
    now: datetime = NOON
    certificate_id: str = ""
    ids: str = "id"
    _numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.store = Store(self.database)
        bell, tracer = Bell(), TracerProvider().get_tracer("test")
        self.outbox = Outbox(clock=self.clock, new_id=self.new_id)
        self.policies = Policies(store=self.store, clock=self.clock, file=None)
        self.changes = Changes(outbox=self.outbox, policies=self.policies, clock=self.clock)
        self.kinds, self.door = KINDS, RequestDoor(KINDS)
        self.requests = Requests(
            store=self.store,
            changes=self.changes,
            clock=self.clock,
            new_id=self.new_id,
            tracer=tracer,
            door=self.door,
            policies=self.policies,
        )
        rights_changes = RightsChanges(policies=self.policies, new_id=self.new_id)
        self.tokens = Tokens(
            store=self.store, changes=rights_changes, clock=self.clock, new_token=new_token, hash_token=hash_token
        )
        self.second_admin = SecondAdmin(store=self.store, tokens=self.tokens, clock=self.clock)
        self.rights = Rights(policies=self.policies, issuer=PROVIDER)
        self.renewals = Renewals(
            store=self.store,
            changes=self.changes,
            policies=self.policies,
            bell=bell,
            clock=self.clock,
            tracer=tracer,
        )
        self.health = HealthSweep(store=self.store, changes=self.changes, bell=bell, clock=self.clock)
        self.levels = Deployments(changes=self.changes)
        self.bundles = Bundles(store=self.store, changes=self.changes, bell=bell, clock=self.clock)
        once = Once(store=self.store, bell=bell, clock=self.clock)
        self.handlers = {
            **RevisionReports(once=once, changes=self.changes, clock=self.clock).handlers(),
            **DeliveryReports(once=once, changes=self.changes, clock=self.clock).handlers(),
            **ObservationReports(once=once, changes=self.changes, clock=self.clock).handlers(),
        }

    def clock(self) -> datetime:
        return self.now

    def new_id(self) -> str:
        return f"{self.ids}-{next(self._numbers)}"

    async def enrol(self) -> None:
        def work(transaction: Transaction) -> None:
            transaction.sites.enrol("site1", {"syncer": "a", "pusher": "b"}, NOON)
            transaction.sites.enrol("site2", {"syncer": "c"}, NOON)
            keep_policy(transaction, NOON)

        await self.store.write(work)

    async def begin(self) -> None:
        """The sites, and one certificate."""
        await self.enrol()
        self.certificate_id = await self.submit(SPEC)

    async def submit(self, spec: CertificateSpec) -> str:
        """Returns the certificate's id."""
        done = await self.store.write(
            lambda transaction: self.requests.submit(transaction, spec, owner="shop", by=ANA)
        )
        return done.certificate.id

    async def renew(self, name: str, *, person: str, even_in_freeze: bool = False) -> Certificate:
        """The certificate with the revision that a person ordered."""

        def work(transaction: Transaction) -> Certificate:
            return self.renewals.renew_now(transaction, name, person=person, even_in_freeze=even_in_freeze)[0]

        return await self.store.write(work)

    async def hand_over(self, revision: int, issued: Issued | None = None) -> None:
        names = sorted({f"{site}-{service}" for site, service in PLACES.values()})
        keys = tuple(SealedKey.of(name, f"sealed to {name}".encode(), None) for name in names)
        bundle = IssuedBundle(chain_pem=(issued or ISSUED[revision]).chain_pem, keys=keys)
        await self.bundles.store(self.certificate_id, revision, "platform", bundle, actor="issuer")

    async def issue(self, authority: Authority, revision: int = 1, *, at: datetime = NOON) -> Issued:
        """The certificate's next revision is issued and announced."""
        ends = at + timedelta(days=90)
        issued = authority.issue(HOST, not_before=at - timedelta(hours=1), not_after=ends)
        await self.hand_over(revision, issued)
        event = RevisionIssued(
            certificate_id=self.certificate_id,
            revision=revision,
            fingerprint_sha256=issued.fingerprint,
            ca="ca",
            validation_method="dns-01",
            ari_id=None,
        )
        await self.hear(Report(event, "hub", "issuer", self.new_id()))
        return issued

    async def fail(self, revision: int, *, next_try: datetime | None) -> None:
        event = RevisionFailed(
            certificate_id=self.certificate_id, revision=revision, reason="the CA is away", next_try=next_try
        )
        await self.hear(Report(event, "hub", "issuer", self.new_id()))

    async def hear(self, report: Report) -> None:
        await self.handlers[type(report.event)](report.event, report.envelope)

    async def proof(self) -> AuditProof:
        """Of the audit as it would be exported, without anchors."""
        reading = AuditReading(store=self.store, places=[], clock=self.clock)
        return prove(b"".join([part async for part in await reading.export()]).splitlines(keepends=True))

    async def rollout(self) -> Rollout:
        found = await self.store.read(lambda transaction: transaction.rollouts.get(self.certificate_id))
        assert found is not None
        return found

    async def truth(self) -> dict[str, Any]:
        """All rows but the inbox's, and what was announced and ordered, however often and in whatever order.

        Versions count saves, and health is announced at each change: both depend on the way.
        """
        found, events = await self.database.read(_rows)
        told = (row for row in events if "health_changed" not in row.type)
        return found | {"events": Counter((row.type, row.subject, row.data) for row in told)}


def keep_policy(transaction: Transaction, now: datetime, said: dict[str, Any] | None = None) -> None:
    """The policy that holds from now on; without one, that which is open to the tests' names."""
    policy = Policy.model_validate(said or open_policy())
    transaction.policies.keep(policy_digest(policy), policy.model_dump_json(exclude_defaults=True), now=now)


def _rows(connection: Connection) -> tuple[dict[str, Any], Sequence[Row[Any]]]:
    found: dict[str, Any] = {}
    for table in tables.metadata.sorted_tables:
        if table not in (tables.event, tables.inbox):
            columns = [column for column in table.columns if column.name != "version"]
            found[table.name] = sorted(map(repr, connection.execute(select(*columns)).all()))
    return found, connection.execute(select(tables.event)).all()


def a_database(url: str) -> Database:
    return Database(url, metrics=CollectorRegistry())


async def schema(folder: Path) -> Path:
    """A database with its schema, to be copied."""
    path = folder / "empty.db"
    database = a_database(f"sqlite:///{path}")
    await database.upgrade(MIGRATIONS)
    await database.close()
    return path


@asynccontextmanager
async def world(empty: Path, name: str) -> AsyncIterator[World]:
    """A world with one certificate on a copy of an empty database."""
    path = empty.with_name(f"{name}.db")
    shutil.copy(empty, path)
    database = a_database(f"sqlite:///{path}")
    try:
        made = World(database)
        await made.begin()
        yield made
    finally:
        await database.close()
