"""Questions to one CA over HTTP: one pool of connections, and a time limit for each question.

No setting of the environment changes where they go, or whom is trusted.
"""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import aiohttp
import certifi

from certcore.errors import PermanentError
from issuer.cas.acme.answer import Answer
from issuer.domain.errors import CaUnreachableError

__all__ = ["AcmeSession", "HungUpError"]

_CONNECT_LIMIT_S: Final = 5.0
_MOST_BYTES: Final = 1_000_000
"""The longest chain of 100 names with its alternates is a tenth of this."""
_MOST_REDIRECTS: Final = 5
_LONGEST_ERROR: Final = 300
_HEADERS: Final = {"User-Agent": "certbus-issuer", "Accept-Encoding": "identity"}


class HungUpError(CaUnreachableError):
    """The connection ended before there was an answer: mostly it had been idle, and was closed meanwhile."""


class AcmeSession:
    """To be entered before it is used. Each call raises CaUnreachableError where there is no answer."""

    def __init__(
        self,
        *,
        connections: int,
        ca_file: Path | None = None,
        proxy: str | None = None,
        proxy_login_file: Path | None = None,
    ) -> None:
        self._free = asyncio.Semaphore(connections)
        self._ca_file = ca_file
        self._proxy = proxy
        self._proxy_headers = {"Proxy-Authorization": _login(proxy_login_file)} if proxy_login_file else None
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(
            # How many are under way is counted here: to wait for one's turn is no waiting for the CA.
            connector=aiohttp.TCPConnector(limit=0, ssl=_trusting(self._ca_file)),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            trust_env=False,
            proxy=self._proxy,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def get(self, url: str, *, limit_s: float) -> Answer:
        return await self._ask("GET", url, limit_s=limit_s)

    async def head(self, url: str, *, limit_s: float) -> Answer:
        return await self._ask("HEAD", url, limit_s=limit_s)

    async def post(self, url: str, body: bytes, *, headers: Mapping[str, str], limit_s: float) -> Answer:
        return await self._ask("POST", url, limit_s=limit_s, body=body, headers=headers)

    async def _ask(
        self, method: str, url: str, *, limit_s: float, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        if self._client is None:
            raise RuntimeError("the session isn't open")
        connect_s = min(_CONNECT_LIMIT_S, limit_s)
        await self._take_turn(url, limit_s)
        try:
            async with self._client.request(
                method,
                url,
                data=body,
                headers=headers,
                # What was signed is signed for this URL.
                allow_redirects=method != "POST",
                max_redirects=_MOST_REDIRECTS,
                proxy_headers=self._proxy_headers,
                timeout=aiohttp.ClientTimeout(total=limit_s, sock_connect=connect_s),
            ) as response:
                return Answer(
                    url=url,
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=await _bounded(response),
                    links=tuple(response.headers.getall("Link", ())),
                )
        # What aiohttp raises knows the headers, and among them how to log in at the proxy: it goes no further.
        except aiohttp.ConnectionTimeoutError:
            raise CaUnreachableError(f"{url} takes no connection in {connect_s:g} s", unsent=True) from None
        except TimeoutError:
            raise CaUnreachableError(f"{url} gave no answer in {limit_s:g} s", timed_out=True) from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            told = f"{url} can't be reached: {type(error).__name__}: {error}"[:_LONGEST_ERROR]
            if _hung_up(error):
                raise HungUpError(told) from None
            raise CaUnreachableError(told, unsent=isinstance(error, aiohttp.ClientConnectorError)) from None
        finally:
            self._free.release()

    async def _take_turn(self, url: str, limit_s: float) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(limit_s):
                await self._free.acquire()
        except TimeoutError:
            told = f"{url} wasn't asked: earlier questions to this CA wait for answers"
            raise CaUnreachableError(told, unsent=True) from None


def _hung_up(error: Exception) -> bool:
    after_connecting = aiohttp.ServerDisconnectedError | aiohttp.ClientOSError
    return isinstance(error, after_connecting) and not isinstance(error, aiohttp.ClientConnectorError)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MOST_BYTES:
            response.close()
            raise CaUnreachableError(f"{response.url} answers more than {_MOST_BYTES} bytes, which can't be read")
    return bytes(body)


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else certifi.where())
    except (OSError, ssl.SSLError) as error:
        raise PermanentError(f"ca_file {ca_file} can't be read as certificates: {type(error).__name__}") from None


def _login(file: Path) -> str:
    try:
        user, colon, password = file.read_text().strip().partition(":")
    except OSError as error:
        raise PermanentError(f"proxy_login_file {file}: {error.strerror}") from None
    if not colon:
        raise PermanentError(f"proxy_login_file {file} holds no user:password")
    return aiohttp.encode_basic_auth(user, password)
