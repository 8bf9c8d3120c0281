"""A browser signs in by a provider over TLS: what its cookies are, and what other sites can do with them."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from certcore.clock import system_clock
from certlocal.tools import Tell
from registry.adapters.oidc.provider import Client, Provider
from registry.domain.identity import Named
from registry.handlers.http.auth import Authenticator, hash_token, new_token
from registry.handlers.http.limits import Limits
from registry.handlers.http.problems import install_problems
from registry.handlers.logins import Logins
from registry.handlers.rights import Rights
from registry.handlers.sessions import Sessions
from registry.handlers.sign_in import SignIn
from registry.handlers.web.page import page_router
from registry.handlers.web.sign_in_pages import CALLBACK, sign_in_router
from registry.settings import LimitSettings
from tests.authority import Authority
from tests.browser import Browser, chromium
from tests.integration.registry.world import World, schema, world
from tests.oidc_provider import OidcProvider, oidc_provider
from tests.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

HOST, NEIGHBOUR = "certbus.localhost", "neighbour.certbus.localhost"
SESSION, LOGIN = "__Host-certbus_session", "__Host-certbus_login"


@dataclass(frozen=True)
class Company:
    """The page at its host, the same server at a host of the same domain, and the provider, which is another site."""

    browser: Browser
    page: str
    neighbour: str
    provider: OidcProvider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def company(tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> AsyncIterator[Company]:
    folder = tmp_path_factory.mktemp("browser")
    issued = Authority().issue(HOST, NEIGHBOUR)
    (folder / "tls.pem").write_text(issued.chain_pem + issued.key_pem)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "tls.pem")
    async with (
        oidc_provider(free_port(), folder) as provider,
        world(await schema(folder), "browser") as made,
        _served(made, folder, provider.url, tls) as port,
        chromium(folder / "profile", trusts=[issued.leaf], tell=tell) as browser,
    ):
        await provider.knows("u-pia", name="Pia", groups=["pki"])
        yield Company(browser, f"https://{HOST}:{port}", f"https://{NEIGHBOUR}:{port}", provider)


@asynccontextmanager
async def _served(made: World, folder: Path, issuer: str, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """The page and its sign-in, of the registry's own objects."""
    port, app = free_port(), FastAPI()
    install_problems(app)
    metrics, clock = CollectorRegistry(), system_clock
    logins = Logins(store=made.store, clock=clock, metrics=metrics, longest_delay_s=0.0)
    app.state.limits = Limits(LimitSettings().rates(), metrics=metrics)
    app.state.authenticator = authenticator = Authenticator(
        store=made.store, clock=clock, logins=logins, rights=Rights(policies=made.policies, issuer=issuer)
    )
    (folder / "secret").write_text("known to the provider")
    client = Client(
        issuer=issuer,
        id="certbus",
        redirect_url=f"https://{HOST}:{port}{CALLBACK}",
        scope="openid",
        secret_file=folder / "secret",
    )
    sign_in = SignIn(
        provider=Provider(client=client, clock=clock),
        clock=clock,
        issuer=issuer,
        client_id="certbus",
        audience="certbus",
        named=Named(),
    )
    sessions = Sessions(
        store=made.store, clock=clock, lasts=timedelta(hours=8), new_token=new_token, hash_token=hash_token
    )
    app.include_router(page_router(store=made.store, authenticator=authenticator, clock=clock, provider=True))
    app.include_router(sign_in_router(sign_in=sign_in, sessions=sessions, authenticator=authenticator))
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, ssl_context_factory=lambda *_: tls, log_config=None, lifespan="off"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())  # noqa: SLF001 # without its own handling of signals
    try:
        while not server.started:
            assert not serving.done(), serving
            await asyncio.sleep(0.01)
        yield port
    finally:
        server.should_exit = True
        await serving


async def sign_in(company: Company) -> dict[str, object]:
    """By hand, as far as the page; returns the login's cookie as it was at the provider."""
    browser = company.browser
    await browser.go(f"{company.page}/")
    await browser.shows("Sign in", at=company.page)
    await browser.run("document.querySelector('a[href=\"/login\"]').click()")
    await browser.shows("Authorize Client", at=company.provider.url)
    login = (await browser.cookies())[LOGIN]
    await browser.run(
        "document.querySelector('[name=sub]').value = 'u-pia'; document.querySelector('button').click()"
    )
    await browser.shows("Sign out", at=f"{company.page}/")
    return login


async def test_a_browser_goes_to_the_provider_comes_back_signed_in_and_signs_out(company: Company) -> None:
    browser = company.browser
    login = await sign_in(company)
    assert (login["domain"], login["path"], login["secure"], login["httpOnly"]) == (HOST, "/", True, True)
    assert login["sameSite"] == "Lax"
    cookies = await browser.cookies()
    session = cookies[SESSION]
    assert LOGIN not in cookies
    assert (session["domain"], session["path"], session["secure"], session["httpOnly"]) == (HOST, "/", True, True)
    assert (session["sameSite"], session["session"]) == ("Strict", True)
    assert await browser.run("document.cookie") == ""
    await browser.run("document.querySelector('form[action=\"/logout\"] button').click()")
    await browser.shows("You are signed out here", at=company.page)
    assert SESSION not in await browser.cookies()
    await browser.go(f"{company.page}/")
    await browser.shows("Sign in", at=company.page)


async def test_another_site_can_neither_look_by_the_session_nor_end_it(company: Company) -> None:
    browser = company.browser
    await sign_in(company)
    # From the provider's page: a link, and a form.
    await browser.go(f"{company.provider.url}/")
    await browser.shows("", at=company.provider.url)
    await browser.run(f"location.href = '{company.page}/'")
    await browser.shows("Sign in", at=company.page)
    await browser.go(f"{company.provider.url}/")
    await browser.shows("", at=company.provider.url)
    form = "const form = document.createElement('form'); form.method = 'post'; document.body.append(form);"
    await browser.run(f"{form} form.action = '{company.page}/logout'; form.submit()")
    await browser.shows("valid token", at=f"{company.page}/logout")
    # It is there still, for who comes by themselves.
    await browser.go(f"{company.page}/")
    await browser.shows("Sign out", at=company.page)
    assert SESSION in await browser.cookies()


async def test_another_host_of_the_domain_can_set_neither_cookie(company: Company) -> None:
    browser = company.browser
    await browser.go(f"{company.neighbour}/")
    await browser.shows("Sign in", at=company.neighbour)
    for name in (SESSION, LOGIN, "certbus_session", "other"):
        await browser.run(f"document.cookie = '{name}=planted; Secure; Path=/; Domain={HOST}'")
    planted = {name for name, cookie in (await browser.cookies()).items() if cookie["value"] == "planted"}
    assert planted == {"certbus_session", "other"}
    # What the domain's other hosts can set is no session.
    await browser.go(f"{company.page}/")
    await browser.shows("Sign", at=company.page)
    assert await browser.run("document.cookie.includes('certbus_session=planted')")
