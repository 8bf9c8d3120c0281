"""A company's provider in a process of its own (oidc-provider-mock), and a browser that goes there and back."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from certlocal.process import ChildProcess

__all__ = ["Browser", "OidcProvider", "oidc_provider"]


@dataclass(frozen=True)
class OidcProvider:
    url: str
    http: httpx.AsyncClient

    async def knows(self, subject: str, **claims: object) -> None:
        """From now on it tells this of somebody, whatever it told before."""
        answer = await self.http.put(f"{self.url}/users/{subject}", json=claims)
        assert answer.status_code == 204, answer.text

    async def admits(self, url: str, subject: str) -> str:
        """Somebody says who they are at the page where they were sent; returns where they are sent then."""
        answer = await self.http.post(url, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])


class Browser:
    """Of one person, with its cookies; it follows nothing by itself."""

    def __init__(self, http: httpx.AsyncClient, provider: OidcProvider) -> None:
        self.http = http
        self.provider = provider

    async def comes_back(self, subject: str, begin: str = "/login") -> httpx.Response:
        """From the registry to the provider and back again."""
        return await self.http.get(await self.at_the_door(subject, begin))

    async def at_the_door(self, subject: str, begin: str = "/login") -> str:
        """Until it is to come back: where."""
        left = await self.http.get(begin)
        assert left.status_code == 303, left.text
        back = await self.provider.admits(left.headers["location"], subject)
        assert urlsplit(back).path == "/oidc/callback"
        return back

    @staticmethod
    def offered(page: httpx.Response) -> str:
        """Where a person goes who lets the command in."""
        assert page.status_code == 200, page.text
        [link] = re.findall(r'id="go" href="([^"]+)"', page.text)
        return str(link.replace("&amp;", "&"))


@asynccontextmanager
async def oidc_provider(port: int, folder: Path) -> AsyncIterator[OidcProvider]:
    child = ChildProcess(
        name="oidc-provider",
        ports=(port,),
        argv=[sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true"],
        log_path=folder / "oidc-provider.log",
        # It uses what its own libraries are about to drop.
        env={"PYTHONWARNINGS": "ignore"},
    )
    try:
        child.start()
        await child.wait_ready()
        async with httpx.AsyncClient(timeout=20.0, trust_env=False) as http:
            yield OidcProvider(f"http://127.0.0.1:{port}", http)
    finally:
        await child.stop()
