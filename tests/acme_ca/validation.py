"""Whether a challenge's proof is where it belongs: looked up as a CA does, at the servers of a test."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import aiohttp
import dns.asyncresolver
import dns.exception

from tests.acme_ca.calls import problem
from tests.acme_ca.jws import text
from tests.acme_ca.orders import Authorization, Challenge

__all__ = ["Validation"]

_PATIENCE: Final = aiohttp.ClientTimeout(total=10.0)


@dataclass(frozen=True)
class Validation:
    """`dns` is host:port, `http01_port` a port of 127.0.0.1 for all names. What has neither is believed unseen."""

    dns: str | None = None
    http01_port: int | None = None

    async def refusal(
        self, authorization: Authorization, challenge: Challenge, thumbprint: str
    ) -> dict[str, Any] | None:
        """The problem with the proof; None where there is none."""
        expected = f"{challenge.token}.{thumbprint}"
        if challenge.kind == "dns-01" and self.dns is not None:
            return await self._dns_refusal(self.dns, authorization.name, text(sha256(expected.encode()).digest()))
        if challenge.kind == "http-01" and self.http01_port is not None:
            return await self._http_refusal(self.http01_port, authorization.name, challenge.token, expected)
        return None

    async def _dns_refusal(self, server: str, name: str, expected: str) -> dict[str, Any] | None:
        host, port = server.split(":")
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [host], int(port)
        try:
            found = await resolver.resolve(f"_acme-challenge.{name}", "TXT")
        except dns.exception.DNSException as error:
            return _refusal("dns", name, str(error))
        values = [str(value).strip('"') for value in found]
        return None if expected in values else _refusal("unauthorized", name, f"TXT is {values}")

    async def _http_refusal(self, port: int, name: str, token: str, expected: str) -> dict[str, Any] | None:
        url = f"http://127.0.0.1:{port}/.well-known/acme-challenge/{token}"
        try:
            async with (
                aiohttp.ClientSession(timeout=_PATIENCE) as session,
                session.get(url, headers={"Host": name}) as answer,
            ):
                told = (await answer.text()).strip()
        except (aiohttp.ClientError, TimeoutError) as error:
            return _refusal("connection", name, type(error).__name__)
        return None if told == expected else _refusal("unauthorized", name, f"the answer was {told[:80]!r}")


def _refusal(kind: str, name: str, detail: str) -> dict[str, Any]:
    found: dict[str, Any] = problem(kind, 403, f"{name}: {detail}").document()
    return found
