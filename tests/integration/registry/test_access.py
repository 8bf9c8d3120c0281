"""Who may call what: every route of the API for every role, tokens, and the sign-in to the page."""

import hashlib
import json
import re
import stat
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from certcore.api import Problem, Role
from certcore.tokens import SERVICE_ROLES
from registry.domain.token import public_id
from registry.handlers.http.auth import hash_token, new_token
from tests.integration.registry.bodies import a_body
from tests.integration.registry.doors import (
    EVERYBODY,
    LOOKING,
    MAY_CALL,
    OF_A_TEAM,
    OPEN_TO_ALL,
    SEEING_ALL,
    Route,
)
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def by_role(registry: RunningRegistry) -> dict[Role, Person]:
    people: dict[Role, Person] = {
        role: await registry.person(f"only-{role.value}", role, owner=Teams.ours)
        for role in Role
        if role is not Role.DELIVERER
    }
    people[Role.DELIVERER] = await registry.service("only-deliverer", Role.DELIVERER, site="site1", kind="syncer")
    return people


class Teams:
    """What two teams have, `ours` being that of `by_role`: a certificate each, and tokens as they are asked for."""

    ours, theirs = "matrix", "matrix-neighbour"

    def __init__(self, registry: RunningRegistry) -> None:
        self._registry = registry
        self._has: dict[str, dict[str, str]] = {}

    async def start(self) -> None:
        for team in (self.ours, self.theirs):
            asker = await self._registry.person(f"{team}-asker", Role.REQUESTER, owner=team)
            view = (await asker.post("/v1/requests", json=a_body(f"{team}-app"))).json()
            self._has[team] = {"name": view["name"], "request_id": view["id"]}

    async def own(self, role: Role, template: str) -> dict[str, str]:
        if "{token_id}" in template:
            return {"token_id": await self._token(f"only-{role.value}", self.ours)}
        return self._has[self.ours]

    async def foreign(self, template: str) -> dict[str, str]:
        if "{token_id}" in template:
            return {"token_id": await self._token("neighbour", self.theirs)}
        return self._has[self.theirs]

    async def _token(self, subject: str, owner: str) -> str:
        order = {"subject": subject, "owner": owner, "roles": []}
        made: str = (await self._registry.admin.post("/v1/tokens", json=order)).json()["id"]
        return made


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def teams(registry: RunningRegistry) -> Teams:
    made = Teams(registry)
    await made.start()
    return made


def status_of(response: httpx.Response, expected: int) -> Problem:
    assert response.status_code == expected, response.text
    return Problem.model_validate_json(response.content)


async def test_every_route_stands_in_the_table(registry: RunningRegistry) -> None:
    document = (await registry.nobody.get("/openapi.json")).json()
    routes = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert routes == set(MAY_CALL)


def is_through(response: httpx.Response, *, found: bool) -> bool:
    """Whether the caller was let through; where it is about something that is there, 404 means no."""
    assert response.status_code < 500, response.text
    return response.status_code not in ({401, 403, 404} if found else {401, 403})


@pytest.mark.parametrize(("method", "template"), list(MAY_CALL))
async def test_a_route_lets_through_its_roles_and_nobody_else(
    registry: RunningRegistry, by_role: dict[Role, Person], method: str, template: str
) -> None:
    route = Route(method, template)
    door = MAY_CALL[method, template]
    before = registry.process.counts()
    status_of(await route.call(registry.nobody), 401)
    for role, person in by_role.items():
        response = await route.call(person)
        if door.own is None:
            status_of(response, 404)
        elif role in door.own:
            assert is_through(response, found=False), f"{role}: {response.text}"
            before = registry.process.counts()
        else:
            refused = status_of(response, 403)
            assert role.value in refused.detail or "needs the role" in refused.detail
            assert registry.process.counts() == before


@pytest.mark.parametrize(("method", "template"), OF_A_TEAM)
async def test_what_a_team_has_is_for_itself_and_for_who_sees_all(
    teams: Teams, by_role: dict[Role, Person], method: str, template: str
) -> None:
    route, door = Route(method, template), MAY_CALL[method, template]
    assert door.own is not None
    assert door.foreign is not None
    for role, person in by_role.items():
        own = await route.call(person, await teams.own(role, template))
        assert is_through(own, found=True) == (role in door.own), f"{role}: {own.text}"
        foreign = await route.call(person, await teams.foreign(template))
        assert is_through(foreign, found=True) == (role in door.foreign), f"{role}: {foreign.text}"
        if role in door.own - door.foreign:
            status_of(foreign, 404)


async def test_a_role_by_a_group_opens_what_it_opens_by_a_token(registry: RunningRegistry, teams: Teams) -> None:
    people = {role: by_group(registry, role) for role in Role if role not in SERVICE_ROLES}
    for (method, template), door in MAY_CALL.items():
        route = Route(method, template)
        for role, person in people.items():
            response = await route.call(person)
            if template == "/v1/sign-in-codes":
                # Their page is opened by the provider.
                status_of(response, 403)
            elif door.own is None:
                status_of(response, 404)
            else:
                assert is_through(response, found=False) == (role in door.own), (role, route, response.text)
            if door.foreign is not None:
                foreign = await route.call(person, await teams.foreign(template))
                assert is_through(foreign, found=True) == (role in door.foreign), (role, route, foreign.text)
            if door.foreign is not None and door.own is not None and "{token_id}" not in template:
                own = await route.call(person, await teams.own(role, template))
                assert is_through(own, found=True) == (role in door.own), (role, route, own.text)


def by_group(registry: RunningRegistry, role: Role) -> Person:
    """Somebody whom the provider signed in, and who is in the one group that has the role."""
    token, now = new_token(), datetime.now(UTC)
    stored = {
        "sha256": hash_token(token),
        "id": public_id(hash_token(token)),
        "name": role.value,
        "issuer": registry.process.provider,
        "kind": "person",
        "subject": f"of-group-{role.value}",
        "owner": "",
        "roles": "[]",
        "made_by": "[]",
        "groups": json.dumps([f"only-{role.value}"]),
        "created_at": now.strftime("%Y-%m-%d %H:%M:%S.%f"),
        "expires_at": (now + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }
    columns, places = ", ".join(stored), ", ".join("?" * len(stored))
    registry.process.change(f"INSERT INTO token ({columns}) VALUES ({places})", *stored.values())  # noqa: S608 # ours
    return Person(registry.http, token)


async def test_routes_about_something_of_a_team_are_all_tried() -> None:
    of_teams = re.compile(r"/v1/(requests|certificates|tokens)/\{")
    assert set(OF_A_TEAM) == {(method, path) for method, path in MAY_CALL if of_teams.match(path)}


async def test_a_list_shows_what_others_have_to_who_sees_all(teams: Teams, by_role: dict[Role, Person]) -> None:
    for role in LOOKING:
        for path in ("/v1/requests", "/v1/certificates"):
            page = (await by_role[role].get(path, params={"limit": 500})).json()["items"]
            owners = {item["owner"] for item in page}
            assert {teams.ours, teams.theirs} <= owners if role in SEEING_ALL else owners == {teams.ours}, (
                role,
                path,
            )
    for role, person in by_role.items():
        page = (await person.get("/v1/tokens", params={"limit": 500})).json()["items"]
        subjects = {item["subject"] for item in page}
        assert len(subjects) > 1 if role is Role.ADMIN else len(subjects) == 1, role


@pytest.mark.parametrize(("method", "template"), list(MAY_CALL))
async def test_a_token_without_roles_opens_nothing(registry: RunningRegistry, method: str, template: str) -> None:
    powerless = await registry.person("powerless")
    response = await Route(method, template).call(powerless)
    own = MAY_CALL[method, template].own
    if template == "/v1/whoami":
        assert response.json()["roles"] == []
    elif (method, template) == ("GET", "/v1/tokens"):
        assert {item["subject"] for item in response.json()["items"]} == {"powerless"}
    else:
        status_of(response, 404 if own is None or own == EVERYBODY else 403)


async def test_the_document_says_that_a_token_is_needed(registry: RunningRegistry) -> None:
    document = (await registry.nobody.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            schemes = ["token", "page"] if method == "get" else ["token"]
            assert operation["security"] == [{scheme: []} for scheme in schemes], (method, path)
            refusals = {"400", "401", "403", "404", "422", "429", "500", "503"}
            refusals |= {"409"} if method != "get" else set()
            refusals |= {"413", "415"} if "requestBody" in operation else set()
            assert refusals <= operation["responses"].keys(), (method, path)
            for status in refusals:
                assert list(operation["responses"][status]["content"]) == ["application/problem+json"]


async def test_what_is_open_to_all_tells_nothing_of_anybody(registry: RunningRegistry) -> None:
    await registry.person("quentin", Role.VIEWER)
    for path in OPEN_TO_ALL:
        response = await registry.nobody.get(path)
        assert response.status_code == 200
        assert "quentin" not in response.text
    assert (await registry.nobody.get("/assets/list.html")).status_code == 404
    assert (await registry.nobody.get("/assets/..%2Fauth.py")).status_code == 404


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer cb_",
        "Bearer cb_" + "A" * 43,
        "Bearer null",
        "Bearer " + "x" * 50_000,
        "Bearer \xfc\xf6",
        "Basic YWRtaW46YWRtaW4=",
        "Token {admin}",
        "{admin}",
        "Bearer {hash}",
        "Bearer {admin}x",
        "Bearer x{admin}",
        "Bearer {admin} {admin}",
        "Bearer {admin},{admin}",
        "Bearer ' OR 1=1 --",
        # Nobody's keys and nobody's algorithm: a JSON Web Token means nothing here.
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
    ],
)
async def test_what_is_no_token_opens_nothing(registry: RunningRegistry, authorization: str) -> None:
    token = registry.admin.token or ""
    shown = authorization.format(admin=token, hash=hashlib.sha256(token.encode()).hexdigest())
    response = await registry.nobody.get("/v1/sites", headers={"authorization": shown.encode("latin-1")})
    problem = status_of(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"
    assert token not in problem.detail


async def test_a_token_ends_when_it_expires(registry: RunningRegistry) -> None:
    person = await registry.person("temp", Role.VIEWER)
    assert (await person.get("/v1/sites")).status_code == 200
    now = datetime.now(UTC)
    for seconds, status in ((60, 200), (-1, 401)):
        registry.process.change(
            "UPDATE token SET expires_at = ? WHERE subject = 'temp'",
            (now + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S.%f"),
        )
        assert (await person.get("/v1/sites")).status_code == status


async def test_tokens_are_stored_only_as_their_hash(registry: RunningRegistry) -> None:
    person = await registry.person("tess", Role.VIEWER)
    code = (await registry.admin.post("/v1/sign-in-codes")).json()["code"]
    opened = await registry.nobody.get(f"/sign-in?code={code}")
    secrets = [person.token or "", registry.admin.token or "", opened.cookies["certbus_session"], code]
    files = [path for path in registry.process.folder.rglob("*") if path.is_file()]
    assert not [number for number, secret in enumerate(secrets) if secret in repr(registry.process.dump())]
    for path in files:
        content = path.read_bytes()
        found = [number for number, secret in enumerate(secrets) if secret.encode() in content]
        assert found == ([1] if path == registry.process.admin_token_file else []), path
    hashes = {row["sha256"] for row in registry.process.rows("SELECT sha256 FROM token")}
    assert {hashlib.sha256(secret.encode()).hexdigest() for secret in secrets[:3]} <= hashes


async def test_the_first_token_is_for_its_owner_s_eyes(registry: RunningRegistry) -> None:
    file = registry.process.admin_token_file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert len(registry.process.rows("SELECT * FROM token WHERE subject = 'admin'")) == 1


async def test_a_made_token_is_noted_with_who_made_it_and_not_what_it_is(registry: RunningRegistry) -> None:
    person = await registry.person("nora", Role.VIEWER, Role.AUDITOR)
    [note] = registry.process.rows("SELECT * FROM audit WHERE object = 'nora'")
    assert (note["actor"], note["action"], note["detail"]) == ("admin", "make token", "viewer, auditor")
    assert str(person.token) not in str(note)


async def test_a_sign_in_code_opens_the_page_once(registry: RunningRegistry) -> None:
    assert (await registry.nobody.get("/")).status_code == 401
    code = (await registry.admin.post("/v1/sign-in-codes")).json()["code"]
    opened = await registry.nobody.get(f"/sign-in?code={code}")
    assert opened.status_code == 303
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    session = {"cookie": f"certbus_session={opened.cookies['certbus_session']}"}
    page = await registry.nobody.get("/", headers=session)
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    status_of(await registry.nobody.get(f"/sign-in?code={code}"), 401)
    status_of(await registry.nobody.get("/sign-in?code=guessed"), 401)


async def test_a_session_only_looks(registry: RunningRegistry) -> None:
    code = (await registry.admin.post("/v1/sign-in-codes")).json()["code"]
    opened = await registry.nobody.get(f"/sign-in?code={code}")
    session = {"cookie": f"certbus_session={opened.cookies['certbus_session']}"}
    assert (await registry.nobody.get("/v1/sites", headers=session)).status_code == 200
    for (method, template), door in MAY_CALL.items():
        allowed = door.own
        if method != "GET":
            refused = await Route(method, template).call(registry.nobody, headers=session)
            status_of(refused, 401)
        elif allowed is not None and Role.AUDITOR not in allowed:
            status_of(await Route(method, template).call(registry.nobody, headers=session), 403)
    bearer = {"authorization": f"Bearer {opened.cookies['certbus_session']}"}
    status_of(await registry.nobody.post("/v1/sign-in-codes", headers=bearer), 403)
