from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver

from monitor.adapters.routes import reachable
from monitor.domain.dns_server import DnsServer
from monitor.domain.resolver import ResolutionError

__all__ = ["NameServers"]


class NameServers:
    """Asks these servers and no other, for A and AAAA at once; the machine's own configuration doesn't count."""

    def __init__(self, servers: Sequence[DnsServer], *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [dns.nameserver.Do53Nameserver(item.address, item.port) for item in servers]
        self._resolver.lifetime = timeout_s
        self._resolver.timeout = timeout_s / max(2, len(servers))

    async def addresses(self, host: str) -> list[str]:
        try:
            answers = await self._resolver.resolve_name(host, search=False)
        except dns.resolver.NXDOMAIN as error:
            raise ResolutionError(f"{host} doesn't exist") from error
        except dns.exception.Timeout as error:
            raise ResolutionError(f"no answer for {host} in {self._timeout_s:g} s") from error
        except (dns.exception.DNSException, OSError) as error:
            raise ResolutionError(f"{host}: {type(error).__name__}") from error
        found = set(answers.addresses())
        if not found:
            raise ResolutionError(f"{host} has no address")
        return reachable(found)
