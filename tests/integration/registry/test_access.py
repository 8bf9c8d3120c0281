"""Who may call what: every route of the API for every role, tokens, and the sign-in to the page."""

import hashlib
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from certcore.api import Problem, Role
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

LOOKING = {Role.VIEWER, Role.REQUESTER, Role.APPROVER, Role.OPERATOR, Role.AUDITOR}
ASKING = {Role.REQUESTER, Role.OPERATOR}

# Who may call each route, written by hand. None: everybody with a token, who then finds only what is theirs.
MAY_CALL: dict[tuple[str, str], set[Role] | None] = {
    ("POST", "/v1/requests"): ASKING,
    ("GET", "/v1/requests"): LOOKING,
    ("GET", "/v1/requests/{request_id}"): LOOKING,
    ("POST", "/v1/requests/{request_id}/approve"): {Role.APPROVER},
    ("POST", "/v1/requests/{request_id}/deny"): {Role.APPROVER},
    ("GET", "/v1/certificates"): LOOKING,
    ("GET", "/v1/certificates/{name}"): LOOKING,
    ("POST", "/v1/certificates/{name}/renew"): ASKING,
    ("GET", "/v1/sites"): LOOKING,
    ("PUT", "/v1/sites/{name}"): {Role.OPERATOR},
    ("GET", "/v1/sites/{name}/review"): LOOKING,
    ("PUT", "/v1/sites/{name}/review"): {Role.DELIVERER},
    ("POST", "/v1/tokens"): {Role.OPERATOR},
    ("PUT", "/v1/bundles/{certificate_id}/{revision}"): {Role.ISSUER},
    ("GET", "/v1/bundles/{certificate_id}/{revision}"): None,
    ("PUT", "/v1/bundles/{certificate_id}/{revision}/keys"): {Role.ESCROW},
    ("GET", "/v1/reseals"): {Role.ESCROW},
    ("POST", "/v1/heartbeats"): {Role.ESCROW},
    ("GET", "/v1/challenges"): {Role.DELIVERER},
    ("PUT", "/v1/challenges/{site}/{token}"): {Role.ISSUER},
    ("GET", "/v1/challenges/{site}/{token}"): {Role.ISSUER},
    ("DELETE", "/v1/challenges/{site}/{token}"): {Role.ISSUER},
    ("GET", "/v1/orders"): {Role.ISSUER},
    ("POST", "/v1/issued"): {Role.ISSUER},
    ("GET", "/v1/restore"): LOOKING,
    ("GET", "/v1/deployments"): {Role.DELIVERER},
    ("GET", "/v1/csrs"): {Role.DELIVERER},
    ("GET", "/v1/services"): LOOKING,
    ("GET", "/v1/alerts"): LOOKING,
    ("GET", "/v1/expectations"): {Role.MONITOR},
    ("GET", "/v1/audit"): {Role.AUDITOR},
    ("GET", "/v1/audit/export"): {Role.AUDITOR},
    ("GET", "/v1/events"): LOOKING,
    ("POST", "/v1/events/replay"): {Role.OPERATOR},
    ("POST", "/v1/sign-in-codes"): {Role.OPERATOR},
}
OPEN_TO_ALL = {"/openapi.json", "/healthz", "/readyz", "/metrics", "/assets/page.css", "/assets/page.js"}

# Bodies that pass a route's model and then meet something that isn't there.
BODIES: dict[tuple[str, str], object] = {
    ("POST", "/v1/requests"): {},
    ("POST", "/v1/requests/{request_id}/approve"): {},
    ("POST", "/v1/requests/{request_id}/deny"): {"reason": "no"},
    ("PUT", "/v1/sites/{name}"): {"recipients": []},
    ("PUT", "/v1/sites/{name}/review"): {"digest": "d"},
    ("POST", "/v1/events/replay"): {"certificate": "nowhere"},
    ("POST", "/v1/tokens"): {"subject": "nobody", "owner": "nobody", "roles": []},
    ("PUT", "/v1/bundles/{certificate_id}/{revision}"): {"chain_pem": "", "keys": []},
    ("PUT", "/v1/bundles/{certificate_id}/{revision}/keys"): {"keys": []},
    ("POST", "/v1/issued"): {"epoch": 7, "revisions": []},
    ("POST", "/v1/heartbeats"): {"site": "hub", "service": "escrow", "version": "1"},
}


@dataclass(frozen=True)
class Route:
    method: str
    template: str

    async def call(self, person: Person, **options: object) -> httpx.Response:
        path = re.sub(r"\{revision\}", "1", self.template)
        path = re.sub(r"\{\w+\}", "nowhere", path)
        if self.template == "/v1/events":
            # It never ends: only its beginning is looked at.
            request = person.http.build_request(self.method, path, headers=person.headers)
            response = await person.http.send(request, stream=True)
            if response.status_code != 200:
                await response.aread()
            await response.aclose()
            return response
        body = BODIES.get((self.method, self.template))
        return await person.call(self.method, path, **({"json": body} if body is not None else {}), **options)


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def by_role(registry: RunningRegistry) -> dict[Role, Person]:
    people: dict[Role, Person] = {
        role: await registry.person(f"only-{role.value}", role) for role in Role if role is not Role.DELIVERER
    }
    people[Role.DELIVERER] = await registry.service("site1-syncer", Role.DELIVERER, site="site1", kind="syncer")
    return people


def status_of(response: httpx.Response, expected: int) -> Problem:
    assert response.status_code == expected, response.text
    return Problem.model_validate_json(response.content)


async def test_every_route_stands_in_the_table(registry: RunningRegistry) -> None:
    document = (await registry.nobody.get("/openapi.json")).json()
    routes = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert routes == set(MAY_CALL)


@pytest.mark.parametrize(("method", "template"), list(MAY_CALL))
async def test_a_route_lets_through_its_roles_and_nobody_else(
    registry: RunningRegistry, by_role: dict[Role, Person], method: str, template: str
) -> None:
    route = Route(method, template)
    allowed = MAY_CALL[method, template]
    before = registry.process.counts()
    status_of(await route.call(registry.nobody), 401)
    for role, person in by_role.items():
        response = await route.call(person)
        if allowed is None:
            status_of(response, 404)
        elif role in allowed:
            assert response.status_code not in {401, 403}, f"{role}: {response.text}"
            assert response.status_code < 500, f"{role}: {response.text}"
            before = registry.process.counts()
        else:
            refused = status_of(response, 403)
            assert role.value in refused.detail or "needs the role" in refused.detail
            assert registry.process.counts() == before


@pytest.mark.parametrize(("method", "template"), list(MAY_CALL))
async def test_a_token_without_roles_opens_nothing(registry: RunningRegistry, method: str, template: str) -> None:
    powerless = await registry.person("powerless")
    response = await Route(method, template).call(powerless)
    status_of(response, 404 if MAY_CALL[method, template] is None else 403)


async def test_what_is_open_to_all_tells_nothing_of_anybody(registry: RunningRegistry) -> None:
    for path in OPEN_TO_ALL:
        response = await registry.nobody.get(path)
        assert response.status_code == 200
        assert "admin" not in response.text
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
    assert registry.process.database in files
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
    for (method, template), allowed in MAY_CALL.items():
        if method != "GET":
            refused = await Route(method, template).call(registry.nobody, headers=session)
            status_of(refused, 401)
        elif allowed is not None and Role.AUDITOR not in allowed:
            status_of(await Route(method, template).call(registry.nobody, headers=session), 403)
    bearer = {"authorization": f"Bearer {opened.cookies['certbus_session']}"}
    status_of(await registry.nobody.post("/v1/sign-in-codes", headers=bearer), 403)
