"""Names become addresses: by a real name server, and by the system."""

import httpx
import pytest

from monitor.adapters.name_servers import NameServers
from monitor.adapters.routes import reachable
from monitor.adapters.system_resolver import SystemResolver
from monitor.domain.dns_server import DnsServer
from monitor.domain.resolver import ResolutionError
from tests.ports import free_port
from tests.servers import Pebble

pytestmark = pytest.mark.integration


async def tell(pebble: Pebble, path: str, body: dict[str, object]) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.post(f"{pebble.challtestsrv_url}{path}", json=body)).raise_for_status()


def name_servers(pebble: Pebble) -> NameServers:
    return NameServers([DnsServer.parse(pebble.dns)], timeout_s=3.0)


async def test_every_address_of_both_families_is_found(pebble: Pebble) -> None:
    await tell(pebble, "/add-a", {"host": "many.example.org.", "addresses": ["127.0.0.3", "127.0.0.2"]})
    await tell(pebble, "/add-aaaa", {"host": "many.example.org.", "addresses": ["::1"]})
    assert await name_servers(pebble).addresses("many.example.org") == ["127.0.0.2", "127.0.0.3", "::1"]


def test_an_address_without_a_route_is_not_held_against_the_endpoint() -> None:
    # The kernel knows no way to the broadcast address for a socket that didn't ask for one.
    assert reachable({"127.0.0.1", "255.255.255.255"}) == ["127.0.0.1"]
    assert reachable({"255.255.255.255"}) == ["255.255.255.255"]


async def test_an_alias_is_followed(pebble: Pebble) -> None:
    await tell(pebble, "/set-cname", {"host": "alias.example.org.", "target": "target.example.org."})
    await tell(pebble, "/add-a", {"host": "target.example.org.", "addresses": ["127.0.0.7"]})
    assert await name_servers(pebble).addresses("alias.example.org") == ["127.0.0.7"]


async def test_a_name_server_that_fails_or_is_silent_is_told(pebble: Pebble) -> None:
    await tell(pebble, "/set-servfail", {"host": "broken.example.org."})
    with pytest.raises(ResolutionError, match=r"broken\.example\.org"):
        await name_servers(pebble).addresses("broken.example.org")
    silent = NameServers([DnsServer("127.0.0.1", free_port())], timeout_s=0.5)
    with pytest.raises(ResolutionError, match=r"shop\.example\.org"):
        await silent.addresses("shop.example.org")


async def test_the_systems_resolver_knows_the_hosts_file() -> None:
    assert "127.0.0.1" in await SystemResolver(timeout_s=5.0).addresses("localhost")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 300, "a..b"])
async def test_the_systems_resolver_tells_what_it_doesnt_know(host: str) -> None:
    with pytest.raises(ResolutionError):
        await SystemResolver(timeout_s=5.0).addresses(host)
