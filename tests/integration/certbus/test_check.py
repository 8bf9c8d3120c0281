"""`certbus check` against real TLS servers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certbus.check import AddressCheck, CheckTarget, Finding, check, exit_code, system_addresses
from certcore.clock import system_clock
from certprobe.handshake import Prober, TrustRootsError
from tests.authority import Authority
from tests.ports import free_port
from tests.tls_servers import tls_server

pytestmark = pytest.mark.integration

HOST = "shop.example.org"


async def here(_: str) -> list[str]:
    return ["127.0.0.1"]


async def look(authority: Authority, folder: Path, *targets: CheckTarget) -> list[AddressCheck]:
    roots = folder / "roots.pem"
    roots.write_text(authority.root_pem)
    return await check(targets, prober=Prober(ca_file=roots), clock=system_clock, addresses=here)


async def test_a_sound_server_is_all_good(tmp_path: Path) -> None:
    authority = Authority()
    issued = authority.issue(HOST)
    async with tls_server(issued) as server:
        results = await look(authority, tmp_path, CheckTarget(HOST, server.port))
    [result] = results
    assert exit_code(results) == 0
    assert (result.address, result.fingerprint_sha256) == ("127.0.0.1", issued.fingerprint)
    assert (result.serial, result.protocol) == (issued.serial, "TLSv1.3")


async def test_each_fault_is_named_and_targets_keep_their_order(tmp_path: Path) -> None:
    authority = Authority()
    now = datetime.now(UTC)
    sound = authority.issue(HOST)
    expired = authority.issue(HOST, not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))
    async with (
        tls_server(expired) as first,
        tls_server(authority.issue("else.example.org")) as second,
        tls_server(Authority.self_signed(HOST)) as third,
        tls_server(sound, chain_pem=sound.leaf_pem) as fourth,
        tls_server(authority.issue(HOST, not_after=now + timedelta(days=3))) as fifth,
    ):
        ports = [first.port, second.port, third.port, fourth.port, fifth.port, free_port()]
        results = await look(authority, tmp_path, *(CheckTarget(HOST, port) for port in ports))
    assert [result.finding for result in results] == [
        Finding.EXPIRED,
        Finding.WRONG_HOST,
        Finding.SELF_SIGNED,
        Finding.CHAIN_INCOMPLETE,
        Finding.EXPIRES_SOON,
        Finding.UNREACHABLE,
    ]
    assert all(result.fingerprint_sha256 for result in results[:5])
    assert exit_code(results) == 1


async def test_every_address_of_a_host_is_looked_at(tmp_path: Path) -> None:
    authority = Authority()

    async def both(_: str) -> list[str]:
        return ["127.0.0.1", "127.0.0.2"]

    (tmp_path / "roots.pem").write_text(authority.root_pem)
    async with (
        tls_server(authority.issue(HOST)) as first,
        tls_server(Authority.self_signed(HOST), host="127.0.0.2", port=first.port),
    ):
        results = await check(
            [CheckTarget(HOST, first.port)],
            prober=Prober(ca_file=tmp_path / "roots.pem"),
            clock=system_clock,
            addresses=both,
        )
    assert [(result.address, result.finding) for result in results] == [
        ("127.0.0.1", Finding.OK),
        ("127.0.0.2", Finding.SELF_SIGNED),
    ]


async def test_the_systems_own_roots_don_t_trust_a_private_ca() -> None:
    async with tls_server(Authority().issue("localhost")) as server:
        results = await check([CheckTarget("localhost", server.port)], prober=Prober(), clock=system_clock)
    assert Finding.UNTRUSTED in {result.finding for result in results}


async def test_an_address_can_be_checked_as_such() -> None:
    async with tls_server(Authority.self_signed(HOST)) as server:
        target = CheckTarget("127.0.0.1", server.port)
        [result] = await check([target], prober=Prober(), clock=system_clock)
    assert result.finding is Finding.SELF_SIGNED


async def test_roots_that_cant_be_read_are_an_error_and_no_finding(tmp_path: Path) -> None:
    with pytest.raises(TrustRootsError):
        await look_without_roots(tmp_path)


async def look_without_roots(folder: Path) -> None:
    prober = Prober(ca_file=folder / "none.pem")
    await check([CheckTarget(HOST, free_port())], prober=prober, clock=system_clock, addresses=here)


async def test_an_unknown_host_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"known|resolution|associated"):
        await system_addresses("no-such-host.invalid")
    with pytest.raises(OSError, match="no host name"):
        await system_addresses("x" * 300)
