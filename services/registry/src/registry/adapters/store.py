"""The one way to the registry's rows: a transaction that speaks in the words of the domain."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Table, and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from certcore.api import CertificateState, Role
from certcore.events import DiscoveredSecret, Event, Recipient
from certcore.identities import recipient_name
from registry.adapters import rows, tables
from registry.adapters.rows import StoredEvent
from registry.domain.access import Principal
from registry.domain.certificate import Approval, Certificate, Delivery, Endpoint, Request, Revision

__all__ = ["Site", "Store", "StoredEvent", "Transaction"]


@dataclass(frozen=True)
class Site:
    name: str
    recipients: tuple[Recipient, ...]
    services: tuple[str, ...]
    last_heartbeat: datetime | None
    reviewed_at: datetime | None
    secrets: tuple[DiscoveredSecret, ...]
    unreachable: tuple[str, ...]


class Store:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # SQLite has one writer: who waits for it in turn waits as long as it takes, in its own queue it gives up.
        self._turn = asyncio.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        """All or nothing: an exception inside leaves no trace in the database."""
        async with self._turn, self._engine.begin() as connection:
            yield Transaction(connection)


class Transaction:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def roll_back(self) -> None:
        """Undo everything so far: a dry run writes nothing."""
        await self._connection.rollback()

    # ── certificates ────────────────────────────────────────────────────────────────────────────────────────

    async def add_certificate(self, certificate: Certificate) -> None:
        await self._connection.execute(insert(tables.certificate).values(rows.certificate_values(certificate)))
        for target in certificate.spec.targets:
            await self.save_delivery(Delivery.of(certificate.id, target))
        for endpoint in certificate.spec.endpoints:
            await self.save_endpoint(Endpoint(certificate.id, endpoint.url, endpoint.target))

    async def save_certificate(self, certificate: Certificate) -> None:
        row = tables.certificate
        await self._connection.execute(
            update(row).where(row.c.id == certificate.id).values(rows.certificate_values(certificate))
        )

    async def certificate(self, certificate_id: str) -> Certificate | None:
        row = tables.certificate
        return await self._one_certificate(row.c.id == certificate_id)

    async def certificate_named(self, name: str) -> Certificate | None:
        return await self._one_certificate(tables.certificate.c.name == name)

    async def _one_certificate(self, condition: Any) -> Certificate | None:
        found = (await self._connection.execute(select(tables.certificate).where(condition))).one_or_none()
        return rows.certificate(found) if found else None

    async def certificates(
        self, *, owner: str | None = None, states: Sequence[CertificateState] = ()
    ) -> list[Certificate]:
        row = tables.certificate
        query = select(row).order_by(row.c.name)
        if owner is not None:
            query = query.where(row.c.owner == owner)
        if states:
            query = query.where(row.c.state.in_([state.value for state in states]))
        return [rows.certificate(found) for found in await self._connection.execute(query)]

    # ── requests and approvals ──────────────────────────────────────────────────────────────────────────────

    async def add_request(self, request: Request) -> None:
        values = asdict(request) | {"spec": request.spec.model_dump(mode="json"), "kind": "new"}
        await self._connection.execute(insert(tables.request).values(values))

    async def save_request(self, request: Request) -> None:
        row = tables.request
        await self._connection.execute(
            update(row)
            .where(row.c.id == request.id)
            .values(
                state=request.state,
                reason=request.reason,
                decided_by=request.decided_by,
                decided_at=request.decided_at,
            )
        )

    async def request(self, request_id: str) -> Request | None:
        row = tables.request
        found = (await self._connection.execute(select(row).where(row.c.id == request_id))).one_or_none()
        return rows.request(found) if found else None

    async def requests(self, *, state: str | None = None) -> list[Request]:
        row = tables.request
        query = select(row).order_by(row.c.created_at.desc(), row.c.id)
        if state is not None:
            query = query.where(row.c.state == state)
        return [rows.request(found) for found in await self._connection.execute(query)]

    async def add_approval(self, approval: Approval) -> None:
        await self._connection.execute(insert(tables.approval).values(asdict(approval)))

    async def approval(self, approval_id: str | None) -> Approval | None:
        row = tables.approval
        found = (await self._connection.execute(select(row).where(row.c.id == approval_id))).one_or_none()
        return Approval(**{**found._asdict(), "approved_by": tuple(found.approved_by)}) if found else None

    # ── revisions and bundles ───────────────────────────────────────────────────────────────────────────────

    async def add_revision(self, revision: Revision, sealed: dict[str, bytes]) -> None:
        """Store a revision and its sealed keys by recipient."""
        await self._connection.execute(insert(tables.revision).values(asdict(revision)))
        for recipient, key in sealed.items():
            await self._connection.execute(
                insert(tables.bundle).values(
                    certificate_id=revision.certificate_id,
                    revision=revision.number,
                    recipient=recipient,
                    sealed=key,
                )
            )

    async def save_revision(self, revision: Revision) -> None:
        row = tables.revision
        await self._connection.execute(
            update(row)
            .where(and_(row.c.certificate_id == revision.certificate_id, row.c.number == revision.number))
            .values(asdict(revision))
        )

    async def revisions(self, certificate_id: str) -> list[Revision]:
        """Newest first; those that the issuer has not reported yet among them."""
        row = tables.revision
        query = select(row).where(row.c.certificate_id == certificate_id).order_by(row.c.number.desc())
        return [Revision(**found._asdict()) for found in await self._connection.execute(query)]

    async def revision(self, certificate_id: str, number: int) -> Revision | None:
        return next((found for found in await self.revisions(certificate_id) if found.number == number), None)

    async def has_leaf(self, fingerprint_sha256: str) -> bool:
        """Whether a leaf is stored as a revision of any certificate."""
        return await self._exists(tables.revision, {"fingerprint_sha256": fingerprint_sha256})

    async def sealed_key(self, certificate_id: str, revision: int, recipient: str) -> bytes | None:
        row = tables.bundle
        query = select(row.c.sealed).where(
            and_(row.c.certificate_id == certificate_id, row.c.revision == revision, row.c.recipient == recipient)
        )
        found: bytes | None = (await self._connection.execute(query)).scalar_one_or_none()
        return found

    # ── deliveries and endpoints ────────────────────────────────────────────────────────────────────────────

    async def deliveries(self, certificate_id: str) -> list[Delivery]:
        row = tables.delivery
        query = select(row).where(row.c.certificate_id == certificate_id).order_by(row.c.target)
        return [Delivery(**found._asdict()) for found in await self._connection.execute(query)]

    async def deliveries_at(self, site: str, service: str | None = None) -> list[Delivery]:
        row = tables.delivery
        query = select(row).where(row.c.site == site)
        if service is not None:
            query = query.where(row.c.service == service)
        return [Delivery(**found._asdict()) for found in await self._connection.execute(query)]

    async def save_delivery(self, delivery: Delivery) -> None:
        await self._put(tables.delivery, asdict(delivery), ("certificate_id", "target"))

    async def endpoints(self, certificate_id: str) -> list[Endpoint]:
        row = tables.endpoint
        query = select(row).where(row.c.certificate_id == certificate_id).order_by(row.c.url)
        return [rows.endpoint(found) for found in await self._connection.execute(query)]

    async def save_endpoint(self, endpoint: Endpoint) -> None:
        await self._put(tables.endpoint, asdict(endpoint), ("certificate_id", "url"))

    # ── sites ───────────────────────────────────────────────────────────────────────────────────────────────

    async def enrol_site(self, name: str, recipients: dict[str, str], now: datetime) -> None:
        """Add a site or the services of one that is there; `recipients` maps service to public key."""
        if not await self._exists(tables.site, {"name": name}):
            await self._connection.execute(insert(tables.site).values(name=name, enrolled_at=now))
        for service, public_key in recipients.items():
            values = {
                "name": recipient_name(name, service),
                "site": name,
                "service": service,
                "public_key": public_key,
            }
            await self._put(tables.recipient, values, ("name",))

    async def sites(self) -> list[Site]:
        found = [row._asdict() for row in await self._connection.execute(select(tables.site))]
        recipients = [row._asdict() for row in await self._connection.execute(select(tables.recipient))]
        sites = []
        for row in sorted(found, key=lambda row: row["name"]):
            own = [item for item in recipients if item["site"] == row["name"]]
            review = row["review"] or {"secrets": [], "unreachable": []}
            sites.append(
                Site(
                    name=row["name"],
                    recipients=tuple(Recipient(name=item["name"], public_key=item["public_key"]) for item in own),
                    services=tuple(sorted(item["service"] for item in own)),
                    last_heartbeat=row["last_heartbeat"],
                    reviewed_at=row["reviewed_at"],
                    secrets=tuple(DiscoveredSecret.model_validate(item) for item in review["secrets"]),
                    unreachable=tuple(review["unreachable"]),
                )
            )
        return sites

    async def note_heartbeat(self, site: str, now: datetime) -> None:
        row = tables.site
        await self._connection.execute(update(row).where(row.c.name == site).values(last_heartbeat=now))

    async def save_review(
        self, site: str, secrets: Sequence[DiscoveredSecret], unreachable: Sequence[str], now: datetime
    ) -> None:
        row = tables.site
        review = {
            "secrets": [secret.model_dump(mode="json") for secret in secrets],
            "unreachable": list(unreachable),
        }
        await self._connection.execute(update(row).where(row.c.name == site).values(review=review, reviewed_at=now))

    # ── tokens ──────────────────────────────────────────────────────────────────────────────────────────────

    async def add_token(
        self, sha256: str, principal: Principal, *, now: datetime, expires_at: datetime | None = None
    ) -> None:
        await self._connection.execute(
            insert(tables.token).values(
                sha256=sha256,
                subject=principal.subject,
                owner=principal.owner,
                roles=sorted(role.value for role in principal.roles),
                site=principal.site,
                service=principal.service,
                created_at=now,
                expires_at=expires_at,
            )
        )

    async def principal(self, sha256: str, now: datetime) -> Principal | None:
        """Who a token belongs to; None where it is unknown or expired."""
        row = tables.token
        found = (await self._connection.execute(select(row).where(row.c.sha256 == sha256))).one_or_none()
        if found is None or (found.expires_at is not None and found.expires_at <= now):
            return None
        roles = frozenset(Role(role) for role in found.roles)
        return Principal(found.subject, found.owner, roles, found.site, found.service)

    async def has_tokens(self) -> bool:
        return (await self._connection.execute(select(func.count()).select_from(tables.token))).scalar_one() > 0

    # ── inbox, outbox, audit ────────────────────────────────────────────────────────────────────────────────

    async def first_time(self, source: str, event_id: str, now: datetime) -> bool:
        """Note an incoming event; False where it was handled before. Part of the same transaction as its effect."""
        key = {"source": _inbox_key(source), "event_id": _inbox_key(event_id)}
        if await self._exists(tables.inbox, key):
            return False
        await self._connection.execute(insert(tables.inbox).values(handled_at=now, **key))
        return True

    async def add_event(
        self,
        event: Event,
        *,
        event_id: str,
        source: str,
        stream: str,
        subject: str,
        about: str,
        now: datetime,
        traceparent: str | None,
        sent: bool = False,
    ) -> None:
        await self._connection.execute(
            insert(tables.event).values(
                id=event_id,
                type=event.type,
                source=source,
                stream=stream,
                subject=subject,
                about=about,
                time=now,
                data=event.model_dump_json(),
                traceparent=traceparent,
                sent_at=now if sent else None,
            )
        )

    async def unsent_events(self, limit: int) -> list[StoredEvent]:
        row = tables.event
        query = select(row).where(row.c.sent_at.is_(None)).order_by(row.c.sequence).limit(limit)
        return [rows.event(found) for found in await self._connection.execute(query)]

    async def mark_sent(self, sequence: int, now: datetime) -> None:
        row = tables.event
        await self._connection.execute(update(row).where(row.c.sequence == sequence).values(sent_at=now))

    async def events_after(self, sequence: int, limit: int) -> list[StoredEvent]:
        row = tables.event
        query = select(row).where(row.c.sequence > sequence).order_by(row.c.sequence).limit(limit)
        return [rows.event(found) for found in await self._connection.execute(query)]

    async def event(self, event_id: str) -> StoredEvent | None:
        return await self._one_event(select(tables.event).where(tables.event.c.id == event_id))

    async def last_event(self) -> StoredEvent | None:
        return await self._one_event(select(tables.event).order_by(tables.event.c.sequence.desc()).limit(1))

    async def _one_event(self, query: Select[Any]) -> StoredEvent | None:
        found = (await self._connection.execute(query)).one_or_none()
        return rows.event(found) if found else None

    async def note(self, actor: str, action: str, what: str, detail: str, now: datetime) -> None:
        """Append to the audit; where that fails, so does the act."""
        await self._connection.execute(
            insert(tables.audit).values(time=now, actor=actor, action=action, object=what, detail=detail)
        )

    # ── the two shapes of statement that several tables need ────────────────────────────────────────────────

    async def _exists(self, table: Table, key: dict[str, str]) -> bool:
        query = select(func.count()).select_from(table).where(and_(*(table.c[name] == key[name] for name in key)))
        return (await self._connection.execute(query)).scalar_one() > 0

    async def _put(self, table: Table, values: dict[str, Any], key: tuple[str, ...]) -> None:
        condition = and_(*(table.c[name] == values[name] for name in key))
        changed = await self._connection.execute(update(table).where(condition).values(values))
        if changed.rowcount == 0:
            await self._connection.execute(insert(table).values(values))


def _inbox_key(text: str) -> str:
    # Cut off, two long ids would be one, and the second event would be dropped as known.
    return text if len(text) <= 255 else f"sha256-{hashlib.sha256(text.encode()).hexdigest()}"
