"""Which zone a name is in, and which servers are authoritative for it, as the resolvers of one view say.

Resolvers are asked for zones and servers only, never for a challenge record: they would remember that there is none.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from issuer.adapters.dns_settings import DnsSettings, ViewSettings
from issuer.domain.errors import SolverError
from issuer.domain.server_address import server_address

__all__ = ["NameServer", "Zone", "Zones", "zones_by_view"]

_Kept = TypeVar("_Kept")

_SHORTEST_S: Final = 5.0
_LONGEST_S: Final = 300.0
_MOST_KEPT: Final = 10_000


@dataclass(frozen=True, order=True)
class NameServer:
    """One address of an authoritative server; `name` is empty where only the address is known."""

    name: str
    host: str
    port: int

    def __str__(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        at = shown if self.port == 53 else f"{shown}:{self.port}"
        return f"{self.name} ({at})" if self.name else at


@dataclass(frozen=True)
class Zone:
    name: dns.name.Name
    servers: tuple[NameServer, ...]


class Zones:
    """`now` counts seconds; what was found is kept for as long as its TTL allows, but for minutes at most."""

    def __init__(self, *, view: str, settings: ViewSettings, timeout_s: float, now: Callable[[], float]) -> None:
        self._view = view
        self._settings = settings
        self._lifetime_s = 2 * timeout_s
        self._now = now
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._apexes: dict[dns.name.Name, tuple[float, dns.name.Name]] = {}
        self._zones: dict[dns.name.Name, tuple[float, Zone]] = {}
        self._pinned = {
            dns.name.from_text(zone): tuple(
                NameServer("", address.host, address.port)
                for address in (server_address(server, port=settings.port) for server in servers)
            )
            for zone, servers in settings.nameservers.items()
        }

    async def around(self, name: dns.name.Name) -> Zone:
        """The zone that a record's name is in, by the zone of its parent: the name itself is asked about nowhere.
        Where the name is a zone of its own, the servers of this one say so.

        Raises:
            SolverError: the resolvers don't answer, or there is no such zone.
        """
        pinned = [zone for zone in self._pinned if name.is_subdomain(zone)]
        if pinned:
            zone = max(pinned, key=len)
            return Zone(zone, self._pinned[zone])
        return await self.served(await self._apex(name.parent()))

    async def served(self, apex: dns.name.Name) -> Zone:
        """The zone with this name.

        Raises:
            SolverError: as `around`.
        """
        if apex in self._pinned:
            return Zone(apex, self._pinned[apex])
        kept = self._zones.get(apex)
        if kept is not None and kept[0] > self._now():
            return kept[1]
        answer = await self.lookup(apex, "NS")
        if answer is None:
            raise SolverError(f"{self._where} know no NS records of {_told(apex)}: it is delegated to nobody")
        targets = sorted({record.target for record in answer})
        found = await asyncio.gather(*(self._addresses(target) for target in targets))
        servers = tuple(sorted(server for of_one in found for server in of_one))
        if not servers:
            raise SolverError(f"{self._where} know no address of any authoritative server of {_told(apex)}")
        zone = Zone(apex, servers)
        _keep(self._zones, apex, (self._now() + _bounded(answer.ttl), zone))
        return zone

    async def lookup(self, name: dns.name.Name, kind: str) -> dns.resolver.Answer | None:
        """What the resolvers say, CNAMEs followed; None where there is no such record.

        Raises:
            SolverError: none of the resolvers answers.
        """
        try:
            if self._resolver is None:
                self._resolver = self._made()
            answer = await self._resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN:
            return None
        except (dns.exception.DNSException, OSError) as error:
            raise SolverError(f"{self._where} don't answer for {kind} of {_told(name)}: {_why(error)}") from error
        return answer if answer.rrset is not None else None

    async def _apex(self, name: dns.name.Name) -> dns.name.Name:
        kept = self._apexes.get(name)
        if kept is not None and kept[0] > self._now():
            return kept[1]
        candidate = name
        while candidate != dns.name.root:
            answer = await self.lookup(candidate, "SOA")
            # Where the name has a CNAME, this is the SOA of another zone.
            if answer is not None and answer.canonical_name == candidate:
                _keep(self._apexes, name, (self._now() + _bounded(answer.ttl), candidate))
                return candidate
            candidate = candidate.parent()
        raise SolverError(f"{self._where} know no zone that {_told(name)} is in")

    async def _addresses(self, server: dns.name.Name) -> Sequence[NameServer]:
        answers = await asyncio.gather(self.lookup(server, "A"), self.lookup(server, "AAAA"))
        return [
            NameServer(_told(server), record.address, self._settings.port)
            for answer in answers
            if answer is not None
            for record in answer
        ]

    def _made(self) -> dns.asyncresolver.Resolver:
        own = [server_address(resolver) for resolver in self._settings.resolvers]
        resolver = dns.asyncresolver.Resolver(configure=not own)
        if own:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(one.host, one.port) for one in own]
        resolver.lifetime = self._lifetime_s
        return resolver

    @property
    def _where(self) -> str:
        named = ", ".join(self._settings.resolvers) or "of the system"
        return f"the resolvers ({named}) of the view {self._view}"


def zones_by_view(settings: DnsSettings, *, now: Callable[[], float]) -> dict[str, Zones]:
    return {
        name: Zones(view=name, settings=view, timeout_s=settings.timeout_s, now=now)
        for name, view in settings.views.items()
    }


def _bounded(ttl: float) -> float:
    return min(max(ttl, _SHORTEST_S), _LONGEST_S)


def _keep(kept: dict[dns.name.Name, _Kept], key: dns.name.Name, value: _Kept) -> None:
    if len(kept) >= _MOST_KEPT:
        kept.pop(next(iter(kept)))
    kept[key] = value


def _told(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)


def _why(error: Exception) -> str:
    return (
        "no answer in time" if isinstance(error, dns.exception.Timeout) else f"{type(error).__name__}: {error}"[:200]
    )
