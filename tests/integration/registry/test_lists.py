"""Lists in pages: to the end while rows come and go, and with as many statements however many rows there are."""

import base64
import csv
import io
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sized
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio
from pydantic import BaseModel

from certcore.api import CertificateSummary, Problem, RequestView, Role
from certcore.certificate_list import CertificateQuery
from certcore.events import CsrWanted, DeploymentOrdered, EndpointsExpected, IssueOrder, ServingVerdict
from registry.adapters.store import Transaction
from registry.handlers.certificate_list import certificates_on_page
from registry.handlers.levels import LevelPage, expectations, issue_orders
from tests.authority import Authority
from tests.integration.registry.bodies import a_body
from tests.integration.registry.reported import items
from tests.integration.registry.stand_ins import StandIns
from tests.integration.registry.statements import counted
from tests.integration.registry.world import SPEC, World, schema, world
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

ItemT = TypeVar("ItemT", bound=BaseModel)

LISTS = ("/v1/certificates", "/v1/requests", "/v1/orders", "/v1/deployments", "/v1/csrs", "/v1/expectations")


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def callers(registry: RunningRegistry, deliverers: dict[str, Person]) -> dict[str, Person]:
    """Who may read each list."""
    monitor = await registry.service("monitor", Role.MONITOR)
    return {
        "/v1/certificates": registry.admin,
        "/v1/requests": registry.admin,
        "/v1/orders": await registry.service("issuer", Role.ISSUER),
        "/v1/deployments": deliverers["site1-syncer"],
        "/v1/csrs": deliverers["site1-pusher"],
        "/v1/expectations": monitor,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def team(registry: RunningRegistry, services: StandIns) -> Person:
    """Somebody whose team has five certificates, three of them issued."""
    person = await registry.person("lia", Role.REQUESTER, owner="library")
    box = {"kind": "appliance", "name": "box", "site": "site1"}
    host = {"kind": "files", "name": "host", "site": "site1"}
    for number in range(5):
        body = a_body(f"library-{number}", targets=[host, box], endpoints=None, proof="none")
        assert (await person.post("/v1/requests", json=body)).status_code == 202
        if number < 3:
            await services.issue(await services.shown(body["name"]))
    await services.settled()
    return person


async def pages(
    person: Person, path: str, *, between: Callable[[int], Awaitable[None]] | None = None, limit: int = 2
) -> list[list[dict[str, object]]]:
    found: list[list[dict[str, object]]] = []
    after = ""
    while True:
        response = await person.get(f"{path}{'&' if '?' in path else '?'}limit={limit}{after}")
        assert response.status_code == 200, response.text
        page = response.json()
        assert page.keys() - {"epoch", "contract"} == {"items", "next"}
        found.append(page["items"])
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"
        if between is not None:
            await between(len(found))


async def test_every_list_goes_on_page_by_page_to_its_end(team: Person, callers: dict[str, Person]) -> None:
    assert [len(page) for page in await pages(team, "/v1/certificates")] == [2, 2, 1]
    for path, kind in (
        ("/v1/certificates", CertificateSummary),
        ("/v1/requests", RequestView),
        ("/v1/orders", IssueOrder),
        ("/v1/deployments", DeploymentOrdered),
        ("/v1/csrs", CsrWanted),
        ("/v1/expectations", EndpointsExpected),
    ):
        whole = await items(callers[path], path, kind)
        by_two = [item for page in await pages(callers[path], path) for item in page]
        assert [kind.model_validate(item) for item in by_two] == whole, path
        assert len(whole) >= 2


async def test_rows_that_come_and_go_meanwhile_are_shown_at_most_once(
    team: Person, registry: RunningRegistry
) -> None:
    names = [f"library-{number}" for number in range(5)]
    [row] = registry.process.rows("SELECT * FROM certificate WHERE name = 'library-4'")

    async def between(number: int) -> None:
        if number == 1:
            # One before the place of the cursor and one after it come, one goes.
            for name in ("aaa-first", "library-2b"):
                assert (await team.post("/v1/requests", json=a_body(name))).status_code == 202
            registry.process.change("UPDATE certificate SET owner = 'elsewhere' WHERE name = 'library-4'")

    found = [item["name"] for page in await pages(team, "/v1/certificates", between=between) for item in page]
    registry.process.change("UPDATE certificate SET owner = ? WHERE name = 'library-4'", row["owner"])
    assert found == [*names[:3], "library-2b", names[3]]

    async def asked(number: int) -> None:
        if number == 1:
            assert (await team.post("/v1/requests", json=a_body())).status_code == 202

    requests = [item["id"] for page in await pages(team, "/v1/requests", between=asked) for item in page]
    assert len(requests) == len(set(requests)) == 7


async def test_a_cursor_is_good_for_its_own_list_alone(callers: dict[str, Person], team: Person) -> None:
    del team
    cursors = {}
    for path in LISTS:
        page = (await callers[path].get(f"{path}?limit=1")).json()
        assert page["next"], path
        cursors[path] = page["next"]
    for path in LISTS:
        for other, cursor in cursors.items():
            response = await callers[path].get(path, params={"after": cursor})
            if other == path:
                assert response.status_code == 200
                continue
            assert response.status_code == 422, (path, other)
            problem = Problem.model_validate_json(response.content)
            assert [error.field for error in problem.errors] == ["after"]


def encoded(*key: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("path", LISTS)
async def test_what_is_no_cursor_is_refused(callers: dict[str, Person], path: str) -> None:
    name = {"/v1/csrs": "csrs"}.get(path, path.removeprefix("/v1/"))
    garbage = [
        *("", "x", "%%%", "ä", "=", "A" * 5000, "W10", "bnVsbA", encoded(), encoded(name), encoded(name, 7)),
        *(encoded(name, "a", "b", "c"), encoded(name, None), encoded([name]), encoded("lists", "a")),
        *(encoded(name, "\ud800"), encoded(name, "a\x00b"), encoded(name, "\ud800", "x"), encoded(name, "soon", "x")),
        *(encoded(name, "2026-01-01T00:00:00", "x"), encoded(name, "0001-01-01T00:00:00+23:59", "x")),
        base64.urlsafe_b64encode(b"[" * 30_000).decode(),
    ]
    for cursor in garbage:
        response = await callers[path].get(path, params={"after": cursor})
        assert response.status_code == 422, (cursor, response.text)
        problem = Problem.model_validate_json(response.content)
        assert [error.field for error in problem.errors] == ["after"], cursor


@pytest.mark.parametrize("path", LISTS)
async def test_a_page_has_500_items_at_most(callers: dict[str, Person], path: str) -> None:
    for limit, status in ((1, 200), (500, 200), (501, 422), (0, 422), (-1, 422), ("x", 422), ("", 422)):
        response = await callers[path].get(path, params={"limit": limit})
        assert response.status_code == status, limit
        if status == 422:
            assert [error["field"] for error in response.json()["errors"]] == ["limit"]


async def test_certificates_are_listed_by_owner_and_health(
    team: Person, registry: RunningRegistry, services: StandIns
) -> None:
    admin = registry.admin
    of_library = await items(admin, "/v1/certificates?owner=library", CertificateSummary)
    assert {item.owner for item in of_library} == {"library"}
    assert await items(team, "/v1/certificates", CertificateSummary) == of_library
    assert await items(team, "/v1/certificates?owner=library", CertificateSummary) == of_library
    assert (await team.get("/v1/certificates?owner=shop")).status_code == 404
    live = await services.requested()
    await services.make_live(live)
    for health in ("ok", "progressing", "degraded", "unknown", "none"):
        found = await items(admin, f"/v1/certificates?health={health}", CertificateSummary)
        assert {item.health for item in found} <= {health}
        assert (live.name in {item.name for item in found}) == (health == "ok")
    progressing = await items(admin, "/v1/certificates?health=progressing&owner=library", CertificateSummary)
    assert {item.name for item in progressing} == {item.name for item in of_library}
    refused = await admin.get("/v1/certificates?health=splendid")
    assert [error["field"] for error in refused.json()["errors"]] == ["health"]


async def test_a_list_is_sent_again_only_where_something_of_it_changed(
    team: Person, registry: RunningRegistry, services: StandIns
) -> None:
    live = await services.requested()
    issued = await services.make_live(live)
    for path in (f"/v1/certificates?q={live.name}", f"/v1/certificates/{live.name}"):
        first = await registry.admin.get(path)
        etag = first.headers["etag"]
        assert etag.startswith('W/"')
        for known in (etag, etag.removeprefix("W/"), f'"other", {etag}'):
            again = await registry.admin.get(path, headers={"if-none-match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        await services.observed(live, live.endpoints[0].url, ServingVerdict.UNREACHABLE)
        await services.settled()
        changed = await registry.admin.get(path, headers={"if-none-match": etag})
        assert (changed.status_code, changed.headers["etag"] == etag) == (200, False), path
        assert changed.json() != first.json()
        await services.served(live, live.endpoints[0].url, 1, issued)
        await services.settled()
    whole = await team.get("/v1/certificates")
    for other in ("?format=csv", "?limit=2", "?facets=state", "?sort=-name"):
        different = await team.get(f"/v1/certificates{other}", headers={"if-none-match": whole.headers["etag"]})
        assert different.status_code == 200, other


async def test_a_list_is_as_csv_what_it_is_as_json(team: Person) -> None:
    whole = (await team.get("/v1/certificates?sort=expires")).json()["items"]
    rows: list[dict[str, str]] = []
    path = "/v1/certificates?sort=expires&limit=2"
    while path:
        answer = await team.get(path, headers={"accept": "text/csv"})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows += csv.DictReader(io.StringIO(answer.text))
        found = re.fullmatch(r'<(.+)>; rel="next"', answer.headers.get("link", ""))
        path = found[1] if found else ""
    assert [(row["name"], row["state"]) for row in rows] == [(item["name"], item["state"]) for item in whole]
    assert [row["reason"].lstrip("'") for row in rows] == [item["reason"] for item in whole]


async def test_a_parameter_that_nobody_knows_and_a_cursor_of_another_order_are_refused(team: Person) -> None:
    page = (await team.get("/v1/certificates?limit=1&sort=expires")).json()
    for query, field in (
        ("colour=red", "colour"),
        ("sort=colour", "sort"),
        ("label=gold", "label.0"),
        ("q=%07", "q"),
        ("expires_before=soon", "expires_before"),
        ("expires_before=0001-01-01T00:00:00%2B23:59", "expires_before"),
        (f"after={page['next']}", "after"),
        (f"after={page['next']}&sort=-expires", "after"),
    ):
        refused = await team.get(f"/v1/certificates?{query}")
        assert refused.status_code == 422, query
        problem = Problem.model_validate_json(refused.content)
        assert [error.field for error in problem.errors] == [field]
    assert (await team.get(f"/v1/certificates?after={page['next']}&sort=expires")).status_code == 200


async def test_nobody_finds_or_counts_what_another_team_owns(team: Person, registry: RunningRegistry) -> None:
    other = await registry.person("olga", Role.REQUESTER, owner="orchard")
    assert (await other.post("/v1/requests", json=a_body("orchard-1", labels={"tier": "gold"}))).status_code == 202
    for query in ("q=orchard", "label=tier%3Dgold", "dns=orchard-1.internal.example.test", "q=orchard&sort=expires"):
        found = (await team.get(f"/v1/certificates?{query}&facets=owner,label")).json()
        assert found["items"] == [], query
        assert "orchard" not in found["counts"]["owner"]["values"]
        assert "tier=gold" not in found["counts"]["label"]["values"]
    counted = (await team.get("/v1/certificates?facets=owner")).json()["counts"]["owner"]
    assert counted["exact"]
    assert counted["values"].keys() == {"library"}
    assert (await team.get("/v1/certificates?owner=orchard")).status_code == 404
    assert (await team.get("/list?owner=orchard")).status_code == 404
    assert "orchard-1" in (await registry.admin.get("/list?owner=orchard&q=&sort=expires")).text
    assert "orchard-1" not in (await registry.admin.get("/list?owner=library")).text


# ── statements ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[World]:
    async with world(await schema(tmp_path), "lists") as made:
        yield made


def items_of(page: LevelPage[ItemT]) -> tuple[ItemT, ...]:
    assert page.items is not None
    return page.items


async def statements_of(made: World) -> dict[str, int]:
    """How many each list takes, for all that there is."""
    levels = made.levels
    lists: dict[str, Callable[[Transaction], Sized]] = {
        "certificates": lambda transaction: transaction.rollouts.many(
            certificates_on_page(transaction, CertificateQuery(), owners=None, after=None, limit=500)[0]
        ),
        "requests": lambda transaction: transaction.certificates.many(
            {item.certificate_id for item in transaction.requests.page(limit=500)}
        ),
        "deployments": lambda transaction: items_of(
            levels.page(transaction, "site1", "syncer", after="", limit=500, known=frozenset())
        ),
        "csrs": lambda transaction: items_of(
            levels.wanted_csrs(transaction, "site1", "syncer", after="", limit=500, known=frozenset())
        ),
        "orders": lambda transaction: items_of(issue_orders(transaction, after="", limit=500, known=frozenset())),
        "expectations": lambda transaction: items_of(
            expectations(transaction, after="", limit=500, known=frozenset())
        ),
        "sites": lambda transaction: (
            transaction.sites.all(),
            transaction.services.all(),
            transaction.placements.counts(),
        ),
    }
    found, rows = {}, {}
    for name, look in lists.items():
        with counted() as seen:
            rows[name] = len(await made.store.read(look))
        found[name] = len(seen)
    assert rows["certificates"] == rows["requests"]
    found["rows"] = rows["deployments"]
    return found


async def test_a_page_takes_as_many_statements_however_many_rows_it_has(store: World) -> None:
    authority = Authority()
    await store.issue(authority)
    few = await statements_of(store)
    for number in range(30):
        store.certificate_id = await store.submit(SPEC.model_copy(update={"name": f"app-{number}"}))
        await store.issue(authority)
    many = await statements_of(store)
    assert (few["rows"], many["rows"]) == (1, 31)
    assert {name: count for name, count in many.items() if name != "rows"} == {
        name: count for name, count in few.items() if name != "rows"
    }
    # The beginning of the transaction is one of them; the caller's token is one more.
    assert few["deployments"] <= 5
    assert max(few.values()) < 12
