"""People sign in by a provider that is a process of its own: on the page and for the command."""

import secrets
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import pytest_asyncio

from certbus.exit_codes import ExitCode
from certcore.api import Role
from certcore.proof_key import challenge_of, words_of
from tests.integration.certbus.command import Command, certbus
from tests.integration.registry.bodies import a_body
from tests.integration.registry.bus import eventually
from tests.oidc_provider import Browser, OidcProvider, oidc_provider
from tests.registry_process import Person, RunningRegistry

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="package")]

ASKERS, REVIEWERS, PKI = "Everybody who asks", "reviewers", "pki"


@dataclass(frozen=True)
class Company:
    """The registry and the provider of its people."""

    registry: RunningRegistry
    provider: OidcProvider

    def browser(self) -> Browser:
        http = httpx.AsyncClient(base_url=self.registry.url, timeout=20.0, trust_env=False)
        return Browser(http, self.provider)

    async def signed_in(self, subject: str, *groups: str, **claims: object) -> Person:
        """Their command's session."""
        await self.provider.knows(subject, groups=list(groups), **claims)
        command = ACommand()
        browser = self.browser()
        async with browser.http:
            code = command.code_in(browser.offered(await browser.comes_back(subject, command.begin)))
        answer = await self.registry.nobody.post("/oidc/session", json={"code": code, "verifier": command.verifier})
        assert answer.status_code == 201, answer.text
        return Person(self.registry.http, answer.json()["token"])


class ACommand:
    """What `certbus login` sends, and what it takes for an answer."""

    def __init__(self) -> None:
        self.verifier, self.state = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        door = {"port": "40000", "challenge": challenge_of(self.verifier), "state": self.state}
        self.begin = f"/login?{urlencode(door)}"

    def code_in(self, url: str) -> str:
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc) == ("http", "127.0.0.1:40000")
        query = parse_qs(parts.query)
        assert query["state"] == [self.state]
        return query["code"][0]


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def company(
    registry: RunningRegistry, provider_port: int, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Company]:

    async def is_found() -> bool:
        return (await registry.nobody.get("/login")).status_code == 303

    # Until now it is away, which keeps nobody with a token from anything.
    away = await registry.nobody.get("/login")
    assert away.status_code == 503
    assert "nobody can sign in now" in away.json()["detail"]
    ready = await registry.nobody.get("/readyz")
    assert ready.status_code == 200
    assert "oidc: (the provider doesn't answer" in ready.text
    async with oidc_provider(provider_port, tmp_path_factory.mktemp("provider")) as provider:
        await eventually(is_found, what="a sign-in")
        yield Company(registry, provider)


def audited(registry: RunningRegistry, subject: str) -> list[tuple[str, str]]:
    rows = registry.process.rows("SELECT action, object FROM audit WHERE actor = ? ORDER BY sequence", subject)
    return [(row["action"], row["object"]) for row in rows]


async def test_a_person_signs_in_to_the_page_looks_and_signs_out(company: Company) -> None:
    await company.provider.knows("u-page", name="Pia", groups=[ASKERS])
    browser = company.browser()
    async with browser.http as http:
        assert 'href="/login"' in (await http.get("/")).text
        opened = await browser.comes_back("u-page")
        assert 'http-equiv="refresh" content="0; url=/"' in opened.text
        session, login = opened.headers.get_list("set-cookie")
        assert session.startswith("certbus_session=")
        assert "HttpOnly" in session
        assert "SameSite=strict" in session
        assert "Max-Age=0" in login
        assert "Domain" not in session + login
        page = await http.get("/")
        assert "Sign out" in page.text
        who = (await http.get("/v1/whoami")).json()
        assert (who["subject"], who["name"], who["kind"]) == ("u-page", "Pia", "session")
        assert who["roles"] == [{"role": "viewer", "teams": None}]
        bearer = {"authorization": f"Bearer {http.cookies['certbus_session']}"}
        assert (await http.post("/v1/requests", headers=bearer, json=a_body("by-a-page"))).status_code == 403
        assert (await company.registry.nobody.post("/logout")).status_code == 401
        out = await http.post("/logout")
        assert f'href="{company.provider.url}/oauth2/end_session?client_id=certbus"' in out.text
        # It has ended, whoever kept its cookie.
        assert (await company.registry.nobody.get("/v1/whoami", headers=bearer)).status_code == 401
        assert (await http.get("/")).status_code == 401
    assert audited(company.registry, "u-page") == [("sign in", "page"), ("sign out", "page")]


async def test_what_comes_back_opens_nothing_in_another_browser_nor_twice(company: Company) -> None:
    await company.provider.knows("u-mallory", groups=[PKI])
    own, victim = company.browser(), company.browser()
    async with own.http, victim.http:
        back = await own.at_the_door("u-mallory")
        for browser, status in ((victim, 401), (own, 200), (own, 401)):
            answer = await browser.http.get(back)
            assert answer.status_code == status
            assert ("certbus_session" in answer.headers.get("set-cookie", "")) == (status == 200)
        # Begun anew, an old answer is for another login.
        await own.http.get("/login")
        assert (await own.http.get(back)).status_code == 401
        await own.http.get("/login")
        refused = await own.http.get("/oidc/callback?error=access_denied&state=guessed")
        assert "begun here, or is too old" in refused.text


@pytest.mark.parametrize(
    "query",
    [
        "port=22&challenge=c&state=s",
        f"port=40000@evil.example.test&challenge={'c' * 43}&state={'s' * 43}",
        f"port=40000&challenge={'c' * 43}&state=%22%3E%3Cscript%3E{'s' * 30}",
        "state=https://evil.example.test",
    ],
)
async def test_nobody_is_sent_elsewhere(company: Company, query: str) -> None:
    answer = await company.registry.nobody.get(f"/login?{query}")
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "<script" not in answer.text


async def test_the_command_gets_a_session_that_is_listed_and_ends(company: Company) -> None:
    person = await company.signed_in("u-ines", ASKERS, name="Ines")
    who = (await person.get("/v1/whoami")).json()
    assert (who["issuer"], who["kind"], who["groups"]) == (company.provider.url, "person", [ASKERS])
    [listed] = (await person.get("/v1/tokens")).json()["items"]
    assert (listed["id"], listed["name"], listed["subject"]) == (who["token_id"], "Ines", "u-ines")
    assert (await person.post(f"/v1/tokens/{who['token_id']}/rotate")).status_code == 409
    assert (await person.call("DELETE", f"/v1/tokens/{who['token_id']}")).status_code == 204
    assert (await person.get("/v1/whoami")).status_code == 401


async def test_a_code_of_the_command_is_for_who_began_and_once(company: Company) -> None:
    await company.provider.knows("u-otto", groups=[ASKERS])
    browser, command = company.browser(), ACommand()
    async with browser.http:
        page = await browser.comes_back("u-otto", command.begin)
        assert words_of(challenge_of(command.verifier)) in page.text
        code = command.code_in(browser.offered(page))
        again = command.code_in(browser.offered(await browser.comes_back("u-otto", command.begin)))
    post, verifier = company.registry.nobody.post, command.verifier
    stolen = await post("/oidc/session", json={"code": code, "verifier": secrets.token_urlsafe(32)})
    # Who shows it with another verifier ends it.
    results = [await post("/oidc/session", json={"code": one, "verifier": verifier}) for one in (code, again, again)]
    assert [stolen.status_code, *(result.status_code for result in results)] == [401, 401, 201, 401]


async def test_the_command_signs_in_shows_who_it_is_and_signs_out(
    company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await company.provider.knows("u-cleo", groups=[ASKERS], name="Cleo")
    for name, value in (("HOME", str(tmp_path)), ("PLAIN_TEXT", "1"), ("URL", company.registry.url)):
        monkeypatch.setenv(f"CERTBUS_{name}", value)
    assert (await certbus("logout")).err.startswith("You are not signed in")
    command = await Command.start("login", "--no-browser")
    await command.tells("The page must show")
    begin, words = command.err[0].split()[-1], command.err[1].split()[4].rstrip(":")
    browser = company.browser()
    async with browser.http as http:
        page = await browser.comes_back("u-cleo", begin.removeprefix(company.registry.url))
        assert words in page.text
        door = browser.offered(page)
        for wrong in (door.replace("state=", "state=x"), door.replace("/?", "/other?"), door.partition("?")[0]):
            assert (await http.get(wrong)).status_code == 404
        assert "Signed in" in (await http.get(door)).text
    ended = await command.ended()
    assert ended.code == ExitCode.OK
    assert "Signed in as Cleo (u-cleo) until" in ended.err
    [file] = (tmp_path / "sessions").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert parse_qs(urlsplit(door).query)["code"][0] not in ended.err + file.read_text()
    shown = await certbus("whoami")
    assert "requester" in shown.out
    assert (await certbus("whoami", "-o", "json")).json["subject"] == "u-cleo"
    # The session is for this registry, and shown to no other.
    elsewhere = await certbus("whoami", "--url", company.registry.url.replace("127.0.0.1", "localhost"))
    assert (elsewhere.code, "certbus login" in elsewhere.err) == (ExitCode.INVALID, True)
    session = file.read_text().strip()
    assert (await certbus("logout")).code == ExitCode.OK
    assert not file.exists()
    gone = await company.registry.nobody.get("/v1/whoami", headers={"authorization": f"Bearer {session}"})
    assert gone.status_code == 401
    assert audited(company.registry, "u-cleo") == [("sign in", "command"), ("revoke token", "u-cleo")]


async def test_a_command_at_a_provider_without_devices_is_told_so(
    company: Company, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nobody = company.registry.nobody
    for path, body in (("/oidc/device", {"verifier": "short"}), ("/oidc/device/session", {"verifier": "v" * 43})):
        assert (await nobody.post(path, json=body)).status_code == 422
    unknown = await nobody.post("/oidc/device/session", json={"verifier": "v" * 43, "handle": "h" * 43})
    assert (unknown.status_code, "begin anew" in unknown.text) == (401, True)
    for name, value in (("HOME", str(tmp_path)), ("PLAIN_TEXT", "1"), ("URL", company.registry.url)):
        monkeypatch.setenv(f"CERTBUS_{name}", value)
    ended = await certbus("login", "--device")
    assert (ended.code, "signs in nobody without a browser" in ended.err) == (ExitCode.NOT_ALLOWED, True)


async def test_rights_are_those_of_the_policy_and_who_has_none_reads_why(company: Company) -> None:
    nobody = await company.signed_in("u-nora", "guests", "everybody who asks")
    refused = await nobody.get("/v1/requests")
    assert refused.status_code == 403
    assert "these groups, which policy gives too little: everybody who asks, guests" in refused.json()["detail"]
    asker = await company.signed_in("u-ask", ASKERS)
    several = await asker.post("/v1/requests", json=a_body("sso-several"))
    assert "owner must be given" in several.json()["detail"]
    made = await asker.post("/v1/requests", json=a_body("sso-shop", owner="shop"))
    assert made.status_code == 202, made.text
    assert made.json()["requester"] == "u-ask"
    for method, path in (("POST", "/v1/tokens"), ("GET", "/v1/audit"), ("POST", "/v1/sign-in-codes")):
        assert (
            await asker.call(method, path, json={"subject": "x", "owner": "shop", "roles": []})
        ).status_code == 403
    admin = await company.signed_in("u-root", PKI)
    assert (await admin.get("/v1/audit")).status_code == 200


async def test_nobody_approves_by_the_provider_what_they_asked_for_by_a_token(company: Company) -> None:
    registry = company.registry

    async def ask(by: Person, name: str) -> str:
        made = await by.post("/v1/requests", json=a_body(name, exposure="public", owner="shop"))
        assert made.status_code == 202, made.text
        return str(made.json()["id"])

    async def approve(by: Person, request_id: str) -> httpx.Response:
        return await by.post(f"/v1/requests/{request_id}/approve", json={"reason": ""})

    local = await registry.person("greta", Role.REQUESTER, Role.APPROVER)
    same = {
        "name": await company.signed_in("greta", ASKERS, REVIEWERS),
        "preferred": await company.signed_in("u-greta-1", ASKERS, REVIEWERS, preferred_username="Greta"),
        "mail": await company.signed_in(
            "u-greta-2", ASKERS, REVIEWERS, email="greta@example.org", email_verified=True
        ),
    }
    for name, person in same.items():
        for asker, approver in ((local, person), (person, local)):
            request_id = await ask(asker, f"sso-{name}-{'local' if asker is local else 'provider'}")
            refused = await approve(approver, request_id)
            assert refused.status_code == 403, (name, refused.text)
            assert "own request" in refused.json()["detail"]
    # Two of the provider's subjects with one verified address are one person too.
    twin = await company.signed_in("u-greta-3", REVIEWERS, email="Greta@Example.org", email_verified=True)
    assert (await approve(twin, await ask(same["mail"], "sso-twin"))).status_code == 403
    # An address that nobody verified proves nothing, and binds nobody.
    other = await company.signed_in("u-other", REVIEWERS, email="greta@example.org", email_verified=False)
    assert (await approve(other, await ask(local, "sso-other"))).status_code == 200


async def test_a_role_gained_between_asking_and_approving_and_a_token_made_for_it_change_nothing(
    company: Company,
) -> None:
    body = a_body("sso-gained", exposure="public", dns_names=["sso-gained.example.test"], owner="shop")
    asker = await company.signed_in("u-hugo", ASKERS, PKI)
    request_id = (await asker.post("/v1/requests", json=body)).json()["id"]
    approving = f"/v1/requests/{request_id}/approve"
    assert (await asker.post(approving, json={"reason": ""})).status_code == 403
    risen = await company.signed_in("u-hugo", REVIEWERS)
    refused = await risen.post(approving, json={"reason": ""})
    assert "own request" in refused.json()["detail"]
    # A second subject, which they make as an admin.
    order = {"subject": "hugo-two", "owner": "bank", "roles": ["approver"]}
    second = Person(company.registry.http, (await asker.post("/v1/tokens", json=order)).json()["token"])
    assert "own request" in (await second.post(approving, json={"reason": ""})).json()["detail"]


async def test_a_group_counts_as_long_as_the_session_and_no_longer(company: Company) -> None:
    before = await company.signed_in("u-ida", PKI)
    after = await company.signed_in("u-ida")
    assert (await before.get("/v1/audit")).status_code == 200
    assert (await after.get("/v1/audit")).status_code == 403
    company.registry.process.change(
        "UPDATE token SET expires_at = '2020-01-01 00:00:00.000000' WHERE subject = 'u-ida'"
    )
    assert (await before.get("/v1/audit")).status_code == 401


async def test_nothing_of_a_sign_in_is_kept_but_hashes(company: Company) -> None:
    await company.provider.knows("u-kim", groups=[ASKERS])
    browser, command = company.browser(), ACommand()
    async with browser.http as http:
        back = await browser.at_the_door("u-kim", command.begin)
        login = http.cookies["certbus_login"].split(".")[0]
        code = command.code_in(browser.offered(await http.get(back)))
        refused = await http.get("/oidc/callback", params={"code": "a-stolen-code", "state": "a-stolen-state"})
        assert refused.status_code == 401
    order = {"code": code, "verifier": command.verifier}
    session = (await company.registry.nobody.post("/oidc/session", json=order)).json()["token"]
    query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    hidden = [login, code, command.verifier, command.state, session, query["code"], query["state"], "a-stolen"]
    for path in _files(company.registry.process.folder):
        content = path.read_bytes()
        assert not [number for number, secret in enumerate(hidden) if secret.encode() in content], path
    spans = (company.registry.process.folder / "traces.jsonl").read_text()
    assert not any(path in spans for path in ("/oidc/callback", "/login", "/oidc/session"))
    metrics = (await company.registry.nobody.get("/metrics")).text
    assert 'certbus_failed_logins_total{reason="oidc-state"}' in metrics


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
