"""What must cost the registry the same however much is stored: its lists, its rounds, a request, a report."""

import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, Engine, event

from certcore import subjects
from certcore.api import Role
from certcore.certificate_list import Order
from certcore.door import RequestDoor
from certcore.events import EndpointObserved, EndpointsExpected, ServingVerdict
from certkit.standstill import Standstill
from registry.adapters.outbox import Bell, Outbox
from registry.adapters.store import Transaction
from registry.adapters.store.events import Selection
from registry.adapters.store.facts import NEVER
from registry.adapters.store.listing import Place
from registry.adapters.unsent import find_unsent
from registry.domain.access import Principal
from registry.domain.alarm import Letters, Patience
from registry.domain.rollout import Rollout
from registry.handlers.alarms import Alarms
from registry.handlers.certificate_list import KeptSummaries
from registry.handlers.http.alerts_api import alerts_router
from registry.handlers.http.auth import Authenticator, hash_token
from registry.handlers.http.certificates_api import certificates_router, cursor_at
from registry.handlers.http.limits import Limits
from registry.handlers.http.paging import cursor_of
from registry.handlers.http.problems import install_problems
from registry.handlers.http.repeats import Repeats
from registry.handlers.http.requests_api import requests_router
from registry.handlers.http.rights_api import rights_router
from registry.handlers.http.services_api import services_router
from registry.handlers.http.sites_api import sites_router
from registry.handlers.http.tokens_api import tokens_router
from registry.handlers.logins import Logins
from registry.handlers.reviews import Reviews
from registry.handlers.upkeep import Upkeep
from registry.handlers.watch import Watch
from registry.handlers.web.page import page_router
from registry.settings import LimitSettings
from tests.integration.registry.many_rows import host_of, name_of
from tests.integration.registry.world import ANA, Report, World

__all__ = ["Cost", "QuietBus", "Step", "counting", "routed", "steps"]

Work = Callable[[], Awaitable[object]]

_OF_ONE: Final = frozenset({"after", "q", "dns", "serial", "spki", "expires_before"})
"""Parameters whose values differ from run to run: they are told as `middle`."""
_EVERY: Final = 100
"""Instructions of SQLite's virtual machine between two counts."""
_WHO: Final = {
    "person": Principal("pat", "shop", frozenset({Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.AUDITOR})),
    "member": Principal("mo", "team-3", frozenset({Role.VIEWER})),
    "issuer": Principal("issuer", "certbus", frozenset({Role.ISSUER})),
    "syncer": Principal("site-3-syncer", "certbus", frozenset({Role.DELIVERER}), "site-3", "syncer"),
    "monitor": Principal("monitor", "certbus", frozenset({Role.MONITOR})),
}


@dataclass(frozen=True)
class Step:
    name: str
    work: Work


@dataclass
class Cost:
    """Of what was done meanwhile: statements, thousands of instructions of SQLite's machine, ms, and the longest
    write transaction in ms.
    """

    statements: int = 0
    instructions: float = 0.0
    wall_ms: float = 0.0
    cpu_ms: float = 0.0
    longest_write_ms: float = 0.0


class _Counter:
    def __init__(self) -> None:
        self.cost = Cost()
        self._began: dict[int, float] = {}

    def connected(self, connection: Any, _: object) -> None:
        connection.set_progress_handler(self._count, _EVERY)

    def _count(self) -> int:
        self.cost.instructions += _EVERY / 1000
        return 0

    def executed(self, connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("BEGIN"):
            if "IMMEDIATE" in statement:
                self._began[id(connection)] = time.perf_counter()
            return
        self.cost.statements += 1

    def committed(self, connection: Connection) -> None:
        began = self._began.pop(id(connection), None)
        if began is not None:
            took = (time.perf_counter() - began) * 1000
            self.cost.longest_write_ms = max(self.cost.longest_write_ms, took)

    async def of(self, work: Work) -> Cost:
        self.cost = Cost()
        began, cpu = time.perf_counter(), time.process_time()
        await work()
        self.cost.wall_ms = (time.perf_counter() - began) * 1000
        self.cost.cpu_ms = (time.process_time() - cpu) * 1000
        return self.cost


@contextmanager
def counting() -> Iterator[Callable[[Work], Awaitable[Cost]]]:
    """Counts on all connections that are made within."""
    counter = _Counter()
    listeners: tuple[tuple[str, Callable[..., None]], ...] = (
        ("connect", counter.connected),
        ("after_cursor_execute", counter.executed),
        ("commit", counter.committed),
    )
    for name, listener in listeners:
        event.listen(Engine, name, listener)
    try:
        yield counter.of
    finally:
        for name, listener in listeners:
            event.remove(Engine, name, listener)


def routed(made: World, *, kept: int = 0) -> tuple[FastAPI, set[str]]:
    """The application, and the paths that can be read. So many summaries are `kept`, by default none: what a list
    costs must not depend on the one before.
    """
    bell, app, paths = Bell(), FastAPI(), set()
    install_problems(app)
    logins = Logins(store=made.store, clock=made.clock, metrics=CollectorRegistry(), longest_delay_s=0.0)
    app.state.limits = Limits(LimitSettings().rates(), metrics=CollectorRegistry())
    app.state.authenticator = authenticator = Authenticator(
        store=made.store, clock=made.clock, logins=logins, rights=made.rights
    )
    for router in (
        requests_router(
            store=made.store,
            requests=made.requests,
            door=RequestDoor(made.kinds),
            bell=bell,
            repeats=Repeats(store=made.store, clock=made.clock),
        ),
        certificates_router(store=made.store, kept=KeptSummaries(most=kept)),
        sites_router(
            store=made.store,
            reviews=Reviews(store=made.store, clock=made.clock),
            clock=made.clock,
            enrolled=lambda: None,
        ),
        services_router(store=made.store, bundles=made.bundles, levels=made.levels, clock=made.clock),
        tokens_router(store=made.store, tokens=made.tokens, clock=made.clock),
        rights_router(store=made.store, second_admin=made.second_admin, clock=made.clock),
        alerts_router(store=made.store),
        page_router(store=made.store, authenticator=authenticator, clock=made.clock, provider=False),
    ):
        app.include_router(router)
        routes = [route for route in router.routes if isinstance(route, APIRoute)]
        paths |= {route.path for route in routes if "GET" in (route.methods or ())}
    return app, paths


async def steps(made: World, number: int) -> list[Step]:
    """For a database with so many copies of `tests.integration.registry.many_rows`."""

    def begin(transaction: Transaction) -> tuple[Rollout, Rollout, str, str, str, int]:
        for token, principal in _WHO.items():
            if transaction.tokens.principal(hash_token(token), made.now) is None:
                transaction.tokens.add(hash_token(token), principal, now=made.now)
        middle = transaction.certificates.named(name_of(number // 2 + 100))
        assert middle is not None
        asked = transaction.requests.of_certificate(middle.id)
        last = transaction.events.last()
        assert asked is not None
        assert last is not None
        live = transaction.certificates.named(name_of(number))
        assert live is not None
        rollouts = (transaction.rollouts.of(middle), transaction.rollouts.of(live))
        return *rollouts, asked.id, asked.created_at.isoformat(), last.id, last.sequence

    rollout, live, request_id, instant, event_id, sequence = await made.store.write(begin)
    certificate_id, name, leaf = rollout.certificate.id, rollout.certificate.name, live.revisions[0]
    by_end = cursor_at(Order.EXPIRES, Place(name, rollout.certificate.served_until or NEVER))
    app, _ = routed(made)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://registry")

    def get(path: str, who: str = "person", *, shown: str | None = None, **query: str | int | list[str]) -> Step:
        async def work() -> None:
            response = await client.get(path, params=query, headers={"authorization": f"Bearer {who}"})
            assert response.status_code == 200, response.text

        told = "&".join(
            f"{name}={'middle' if name in _OF_ONE and value != 'cert' else value}" for name, value in query.items()
        )
        return Step(
            f"GET {shown or path}{'?' if told else ''}{told}" + ("" if who == "person" else f" ({who})"), work
        )

    def read(what: str, work: Callable[[Transaction], object]) -> Step:
        return Step(what, partial(made.store.read, work))

    listed = partial(get, "/v1/certificates", limit=50)

    later = (made.now + timedelta(days=91)).isoformat()
    in_certificates = cursor_of("certificates", name)
    in_requests = cursor_of("requests", instant, request_id)
    return [
        get("/v1/certificates", limit=50),
        get("/v1/certificates", limit=50, after=in_certificates),
        get("/v1/certificates", limit=50, owner="team-3"),
        get("/v1/certificates", "member", limit=20),
        get("/v1/certificates", "member", limit=5, state="live", after=in_certificates),
        get("/v1/certificates", "member", limit=1, state="delivering"),
        get("/v1/certificates", "member", limit=1, health="progressing"),
        get("/v1/certificates", limit=50, state="delivering"),
        get("/v1/certificates", limit=50, state="live"),
        get("/v1/certificates", limit=50, health="progressing"),
        get("/v1/certificates", limit=50, health="degraded"),
        get("/v1/certificates", limit=50, health="ok", state="delivering"),
        get("/v1/certificates", limit=50, health="degraded", state="live"),
        listed(site="site-3"),
        listed(site="site-3", after=in_certificates),
        listed(site="site-3", health="degraded"),
        listed(site="site-3", owner="team-3", exposure="internal"),
        listed(domain="team-3.test"),
        listed(label=["team=team-3", "tier=gold"]),
        listed(label=["tier=tin", "tier=gold"]),
        listed(target="haproxy", key="ec-p256", ca="ca"),
        listed(exposure="public"),
        listed(q="cert"),
        listed(q="cert", after=in_certificates),
        listed(q=name[5:]),
        listed(dns=host_of(name)),
        listed(serial=leaf.serial),
        listed(spki=leaf.spki_sha256),
        listed(expires_before=later),
        listed(sort="expires"),
        listed(sort="expires", after=by_end),
        listed(sort="expires", site="site-3"),
        listed(sort="expires", site="site-3", after=by_end),
        listed(sort="expires", q="cert", expires_before=later),
        listed(sort="-expires", label="tier=gold"),
        get("/v1/certificates", "member", limit=50, sort="expires"),
        listed(facets="state,health"),
        listed(facets="state,health,ca,site,domain", site="site-3"),
        listed(format="csv", site="site-3"),
        get(f"/v1/certificates/{name}", shown="/v1/certificates/{name}"),
        get("/v1/requests", limit=50),
        get("/v1/requests", limit=50, after=in_requests),
        get("/v1/requests", limit=50, state="waiting"),
        get("/v1/requests", limit=50, state="approved"),
        get("/v1/requests", "member", limit=20),
        get("/v1/requests", "member", limit=1, state="waiting"),
        get("/v1/requests", "member", limit=5, after=in_requests),
        get(f"/v1/requests/{request_id}", shown="/v1/requests/{request_id}"),
        get("/v1/alerts", limit=50),
        get("/v1/alerts", state="open", limit=50),
        get("/v1/alerts", "member", state="open", limit=1),
        get("/v1/alerts", state="resolved", limit=50),
        get("/v1/alerts", "member", state="resolved", limit=10),
        get("/v1/sites"),
        get("/v1/services"),
        get("/v1/orders", "issuer", limit=50),
        get("/v1/deployments", "syncer", limit=50),
        get("/v1/deployments", "syncer", limit=20, after=cursor_of("deployments", certificate_id)),
        get("/v1/csrs", "syncer"),
        get("/v1/expectations", "monitor", limit=50),
        get("/v1/expectations", "monitor", limit=50, after=cursor_of("expectations", certificate_id)),
        get("/list"),
        get("/list", "member"),
        read("events feed, from the middle", lambda transaction: transaction.events.after(sequence // 2, 200)),
        read("events feed, Last-Event-ID", lambda transaction: transaction.events.get(event_id)),
        read(
            "replay of a certificate",
            lambda transaction: transaction.events.selected(Selection(about=certificate_id), after=0, limit=500),
        ),
        Step("renewals sweep", made.renewals.sweep),
        read(
            "renewals that are due or late",
            lambda transaction: (transaction.renewals.due(made.now), transaction.renewals.late(made.now)),
        ),
        Step("health sweep", made.health.sweep),
        Step("watch", _watch(made).look),
        read("anchor", lambda transaction: transaction.epochs.position(made.now)),
        Step("upkeep", Upkeep(store=made.store, clock=made.clock).prune),
        read("relay, read", lambda transaction: find_unsent({}, set(), 1024, transaction)),
        read("relay, measure", lambda transaction: transaction.events.backlog()),
        read("stream watch, read", lambda transaction: transaction.stream_epochs.all()),
        read(
            "refill, a page",
            lambda transaction: transaction.stream_epochs.newest(
                subjects.CERTS, subjects.events(EndpointsExpected.type).removesuffix(">"), after="", limit=50
            ),
        ),
        read(
            "restoration, begin",
            lambda transaction: (
                transaction.events.last(),
                transaction.events.get("none"),
                transaction.epochs.present(),
            ),
        ),
        Step("one request", partial(_request, made)),
        Step("one report", partial(_report, made, certificate_id, name)),
    ]


async def _request(made: World) -> None:
    name = f"new-{uuid.uuid4().hex[:12]}"
    spec = made.door.model.model_validate(
        {
            "name": name,
            "dns_names": [f"{name}.internal.example.test"],
            "exposure": "internal",
            "targets": [{"kind": "files", "name": "host", "site": "site-3"}],
            "endpoints": [{"url": f"https://{name}.internal.example.test:8443", "target": "host"}],
        }
    )
    await made.store.write(lambda transaction: made.requests.submit(transaction, spec, owner="team-3", by=ANA))


async def _report(made: World, certificate_id: str, name: str) -> None:
    seen = EndpointObserved(
        certificate_id=certificate_id,
        url=f"https://{host_of(name)}:8441",
        verdict=ServingVerdict.UNREACHABLE,
        served_revision=None,
        served_fingerprint_sha256=None,
        addresses=("192.0.2.1",),
        observed_at=made.now,
    )
    await made.hear(Report(seen, "hub", "monitor", uuid.uuid4().hex))


class QuietBus:
    async def answers(self) -> bool:
        return True

    async def connections(self) -> int:
        return 0

    async def dead_letters(self) -> Sequence[Letters]:
        return ()


def _watch(made: World) -> Watch:
    patience = Patience(silent=timedelta(days=1), not_ready=timedelta(days=1))
    alarms = Alarms(outbox=Outbox(clock=made.clock, new_id=lambda: uuid.uuid4().hex), clock=made.clock)
    return Watch(
        store=made.store,
        alarms=alarms,
        bell=Bell(),
        bus=QuietBus(),
        standstill=Standstill(),
        clock=made.clock,
        patience=patience,
    )
