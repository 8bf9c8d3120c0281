"""The way to the registry by aiohttp, under HTTPX's interface: HTTPX's own pool looks at each of its connections
before and after each call, and costs as much as all else that a bundle's hand-over does.
"""

from typing import Final

import aiohttp
import httpx

from certkit.settings import RegistrySettings

__all__ = ["RegistryTransport"]

_MOST_CONNECTIONS: Final = 100
_IDLE_S: Final = 90.0
"""Connections outlive the pauses between rounds, and end before the registry would end them (`certkit.service`)."""
_WHOLE_S: Final = 120.0
"""For all of one call: a registry that takes no more of a request is no longer waited for."""


class RegistryTransport(httpx.AsyncBaseTransport):
    """Raises HTTPX's errors, without what a request carries."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._tls = settings.tls_context()
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        within: dict[str, float | None] = request.extensions.get("timeout", {})
        try:
            async with self._opened().request(
                request.method,
                str(request.url),
                data=await request.aread() or None,
                headers=list(request.headers.items()),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=_WHOLE_S,
                    connect=within.get("pool"),
                    sock_connect=within.get("connect"),
                    sock_read=within.get("read"),
                ),
            ) as answer:
                body = await answer.read()
                return httpx.Response(answer.status, headers=list(answer.raw_headers), content=body, request=request)
        # What aiohttp raises may know the headers: it goes no further.
        except aiohttp.ConnectionTimeoutError:
            raise httpx.ConnectTimeout("no connection in time", request=request) from None
        except TimeoutError:
            raise httpx.ReadTimeout("no answer in time", request=request) from None
        except aiohttp.ClientConnectorError as error:
            raise httpx.ConnectError(str(error), request=request) from None
        except (aiohttp.ClientError, OSError) as error:
            raise httpx.ReadError(type(error).__name__, request=request) from None

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        """Made where it is first used: it belongs to the event loop that runs there."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Without TLS the context is never used.
                connector=aiohttp.TCPConnector(
                    limit=_MOST_CONNECTIONS,
                    keepalive_timeout=_IDLE_S,
                    ssl=self._tls if self._tls is not None else True,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                # HTTPX reads what is encoded.
                auto_decompress=False,
            )
        return self._session
