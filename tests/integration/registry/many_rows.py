"""A registry database with any number of certificates: a few that went the real way, and copies of their rows.

A copy has ids, a name, a host, an owner, a site, serials and fingerprints of its own wherever a row says them; its
chain and its sealed keys are those of the certificate that it was copied from.
"""

from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    String,
    Table,
    column,
    func,
    insert,
    literal,
    literal_column,
    select,
    table,
    text,
    true,
)
from sqlalchemy.sql.elements import ColumnElement

from certcore.bundles import IssuedBundle, SealedKey
from certcore.events import DeliverySucceeded, EndpointObserved, Event, ProbeRound, RevisionIssued, ServingVerdict
from certkit.database import StoredJson
from certkit.transactions import Database
from registry.adapters import tables
from registry.adapters.store import Transaction
from registry.domain.alert import AlertRecord
from tests.authority import Authority
from tests.integration.registry.world import ANA, Report, World, keep_policy

__all__ = ["OWNERS", "SITES", "UNDER_WAY", "ManyRows", "copyable", "host_of", "name_of"]

OWNERS: Final = 20
SITES: Final = 3
UNDER_WAY: Final = 60
"""As many are not live in a large database as in a small one, unless that is what is measured."""

_OWNER: Final = "team-of-pattern"
_SITE: Final = "site-of-pattern"
_NUMBER: Final[ColumnElement[int]] = column("n")
# An odd factor: every number has another word, and they are in no order. No serial number begins with a zero.
_WORD: Final = func.printf("f%07x", (_NUMBER * 2654435761) % 2**28)

_ID: Final = "p-00000000"
"""How every id of a copyable world begins."""
_SAME: Final = frozenset({"chain_pem", "spec_hash"})
_HEARD: Final = text(
    "INSERT INTO inbox SELECT 'hub/issuer', 'heard-' || n || '-' || part, (SELECT max(handled_at) FROM inbox)"
    " FROM copy_number, (SELECT 1 AS part UNION SELECT 2 UNION SELECT 3)"
)

Words = dict[str, ColumnElement[str]]
"""What is replaced in a row, and by what."""


def copyable(database: Database, *, now: datetime, first: int = 1) -> World:
    """An empty world whose ids can be copied; another of the same database begins with a later id."""
    return World(database, now=now, ids="p", _numbers=(f"{number:032x}" for number in count(first)))


def name_of(number: int) -> str:
    """The name of a copy."""
    return f"cert-{number:07}"


def host_of(name: str) -> str:
    """The host of a copy of this name."""
    return f"{name}.team-{int(name[-7:]) % OWNERS}.test"


class ManyRows:
    """Numbers of copies begin at 1 and go on: first those under way, then the live ones."""

    def __init__(self, made: World) -> None:
        self._world = made
        self._authority = Authority()
        self._live: tuple[str, str] = ("", "")
        self._next = 1

    async def begin(self, *, under_way: int = UNDER_WAY) -> None:
        """The sites, the certificates that are copied, and so many copies of each that isn't live."""

        def enrol(transaction: Transaction) -> None:
            for site in (_SITE, *(f"site-{number + 1}" for number in range(SITES))):
                transaction.sites.enrol(site, {"syncer": "a", "pusher": "b"}, self._world.now)
            keep_policy(transaction, self._world.now)

        await self._world.store.write(enrol)
        waiting = await self._ask("waiting", exposure="public")
        ordered = await self._ask("ordered")
        delivering = await self._ask("delivering")
        await self._issue(1)
        live = await self._ask("live")
        await self._issue(1)
        await self._prove(1)
        renewed = await self._ask("renewed")
        await self._issue(1)
        await self._prove(1)
        await self._world.renew("pattern-renewed", person="ana")
        await self._issue(2)
        await self._prove(2)
        now = self._world.now
        seen = ProbeRound(worker="monitor", started=now, ended=now, period_s=3600.0, looked=1)
        await self._world.hear(Report(seen, "hub", "monitor", "round"))
        await self._world.health.sweep()
        await self._alert(delivering, resolved_at=None)
        await self._alert(live, resolved_at=now)
        self._live = (live, renewed)
        for certificate_id in (waiting, ordered, delivering):
            await self._copy(certificate_id, range(self._next, self._next + under_way))
            self._next += under_way
        await self._world.database.write(
            lambda connection: connection.execute(text("UPDATE event SET sent_at = time WHERE sent_at IS NULL"))
        )

    async def up_to(self, number: int) -> None:
        """So many copies in all; every fourth of the live ones was renewed once."""
        while self._next <= number:
            end = min(self._next + 20_000, number + 1)
            split = self._next + (end - self._next) * 3 // 4
            for certificate_id, numbers in zip(
                self._live, (range(self._next, split), range(split, end)), strict=True
            ):
                await self._copy(certificate_id, numbers)
            self._next = end

    # ── the certificates that are copied ────────────────────────────────────────────────────────────────────

    async def _ask(self, what: str, *, exposure: str = "internal") -> str:
        name = f"pattern-{what}"
        host = f"{name}.{_OWNER}.test"
        spec = self._world.door.model.model_validate(
            {
                "name": name,
                "dns_names": [host],
                "exposure": exposure,
                "labels": {"team": _OWNER, "tier": "gold" if what == "renewed" else "tin"},
                "targets": [
                    {"kind": "files", "name": "host", "site": _SITE},
                    {"kind": "haproxy", "name": "edge", "site": _SITE},
                ],
                "endpoints": [
                    {"url": f"https://{host}:8441", "target": "host"},
                    {"url": f"https://{host}:8442", "target": "edge"},
                ],
            }
        )
        done = await self._world.store.write(
            lambda transaction: self._world.requests.submit(transaction, spec, owner=_OWNER, by=ANA)
        )
        self._world.certificate_id = done.certificate.id
        return done.certificate.id

    async def _issue(self, revision: int) -> None:
        now, certificate = self._world.now, (await self._world.rollout()).certificate
        issued = self._authority.issue(
            *certificate.intent.dns_names, not_before=now - timedelta(hours=1), not_after=now + timedelta(days=90)
        )
        recipients = (f"{_SITE}-pusher", f"{_SITE}-syncer")
        keys = tuple(SealedKey.of(name, f"sealed to {name}".encode(), None) for name in recipients)
        bundle = IssuedBundle(chain_pem=issued.chain_pem, keys=keys)
        await self._world.bundles.store(certificate.id, revision, "platform", bundle, actor="issuer")
        await self._hear(
            RevisionIssued(
                certificate_id=certificate.id,
                revision=revision,
                fingerprint_sha256=issued.fingerprint,
                ca="ca",
                validation_method="dns-01",
                ari_id=None,
            ),
            "hub",
            "issuer",
        )

    async def _prove(self, revision: int) -> None:
        """Every target holds the revision, and every endpoint serves it."""
        rollout = await self._world.rollout()
        fingerprint = rollout.revisions[0].fingerprint_sha256
        for placement in rollout.placements:
            delivered = DeliverySucceeded(
                certificate_id=placement.certificate_id,
                generation=placement.generation,
                revision=revision,
                target=placement.target,
                fingerprint_sha256=fingerprint,
            )
            await self._hear(delivered, _SITE, placement.service)
        for endpoint in rollout.endpoints:
            observed = EndpointObserved(
                certificate_id=endpoint.certificate_id,
                url=endpoint.url,
                verdict=ServingVerdict.WANTED,
                served_revision=revision,
                served_fingerprint_sha256=fingerprint,
                addresses=("192.0.2.1",),
                observed_at=self._world.now,
            )
            await self._hear(observed, "hub", "monitor")

    async def _alert(self, certificate_id: str, *, resolved_at: datetime | None) -> None:
        def save(transaction: Transaction) -> None:
            certificate = transaction.certificates.get(certificate_id)
            assert certificate is not None
            now = self._world.now
            record = AlertRecord(
                id=self._world.new_id(),
                owner=_OWNER,
                reason="not_served",
                subject=certificate.name,
                severity="critical",
                summary=f"{certificate.name} is not served",
                since=now,
                updated_at=now,
                resolved_at=resolved_at,
                source="certbus/hub/monitor",
                certificate_id=certificate_id,
                certificate_name=certificate.name,
            )
            transaction.alerts.save(record)

        await self._world.store.write(save)

    async def _hear(self, event: Event, place: str, service: str) -> None:
        await self._world.hear(Report(event, place, service, self._world.new_id()))

    # ── their copies ────────────────────────────────────────────────────────────────────────────────────────

    async def _copy(self, certificate_id: str, numbers: range) -> None:
        if numbers:
            await self._world.database.write(lambda connection: _copied(connection, certificate_id, numbers))


def _copied(connection: Connection, certificate_id: str, numbers: range) -> None:
    certificate = tables.certificate
    name = connection.execute(select(certificate.c.name).where(certificate.c.id == certificate_id)).scalar_one()
    words = _words(connection, certificate_id, name)
    connection.execute(text("CREATE TEMP TABLE IF NOT EXISTS copy_number (n INTEGER PRIMARY KEY)"))
    connection.execute(text("DELETE FROM copy_number"))
    connection.execute(text("INSERT INTO copy_number VALUES (:n)"), [{"n": number} for number in numbers])
    for copied in tables.metadata.sorted_tables:
        key = {"certificate": "id", "event": "about"}.get(copied.name, "certificate_id")
        if copied is tables.audit:
            _copy_table(connection, copied, copied.c.object == name, words)
        elif copied is tables.certificate_fact:
            # A name is found by the end of it, too.
            _, _, end = name.partition("-")
            _copy_table(connection, copied, copied.c.name == name, words | {end: func.printf("%07d", _NUMBER)})
        elif key in copied.c and copied is not tables.reported_revision:
            _copy_table(connection, copied, copied.c[key] == certificate_id, words)
    connection.execute(_HEARD)


def _copy_table(connection: Connection, copied: Table, of: ColumnElement[bool], words: Words) -> None:
    columns = [item for item in copied.columns if item.autoincrement is not True]
    values = [_replaced(item, words) for item in columns]
    rows = select(*values).select_from(copied.join(table("copy_number"), true())).where(of).order_by(_NUMBER)
    connection.execute(insert(copied).from_select(columns, rows))


def _replaced(item: Column[Any], words: Words) -> ColumnElement[Any]:
    # As it is stored, whatever its type in Python is; instants and numbers have no such words.
    stored: ColumnElement[Any] = literal_column(f"{item.table.name}.{item.name}")
    if item.name in {"created_at", "since", "served_until"}:
        earlier = func.strftime("%Y-%m-%d %H:%M:%f000", stored, func.printf("-%d seconds", _NUMBER))
        return func.iif(stored < "9999", earlier, stored)
    if item is tables.audit.c.number:
        # Each entry has a number of its own; the copies' hashes are wrong, which nobody looks at here.
        highest = select(func.max(tables.audit.alias().c.number)).scalar_subquery()
        return highest + func.row_number().over(order_by=_NUMBER)
    if not isinstance(item.type, String | StoredJson) or item.name in _SAME:
        return stored
    for word, other in words.items():
        stored = func.replace(stored, word, other)
    return stored


def _words(connection: Connection, certificate_id: str, name: str) -> Words:
    words: dict[str, ColumnElement[str]] = {
        name: func.printf("cert-%07d", _NUMBER),
        _OWNER: func.printf("team-%d", _NUMBER % OWNERS),
        _SITE: func.printf("site-%d", _NUMBER % SITES + 1),
        _ID: literal("p-").op("||")(_WORD),
    }
    revision = tables.revision
    names = (revision.c.fingerprint_sha256, revision.c.serial, revision.c.spki_sha256)
    for found in connection.execute(select(*names).where(revision.c.certificate_id == certificate_id)):
        words |= {word: _WORD.op("||")(word[8:]) for word in found}
    return words
