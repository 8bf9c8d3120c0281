"""Handshakes with real TLS servers, sound ones and broken ones."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certprobe.handshake import HandshakeError, HandshakeProblem, Prober, TrustProblem, TrustRootsError
from tests.authority import Authority
from tests.patience import HANG_S
from tests.ports import free_port
from tests.tls_servers import plain_server, tls_server

pytestmark = pytest.mark.integration

HOST = "shop.example.org"


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def prober(authority: Authority, tmp_path: Path) -> Prober:
    (tmp_path / "roots.pem").write_text(authority.root_pem)
    return Prober(ca_file=tmp_path / "roots.pem", timeout_s=5.0)


async def test_a_sound_server_is_seen_with_its_whole_chain(authority: Authority, prober: Prober) -> None:
    issued = authority.issue(HOST)
    async with tls_server(issued) as server:
        seen = await prober.shake("127.0.0.1", server.port, server_name=HOST)
        assert seen.trust_problem is None
        assert seen.address == "127.0.0.1"
        assert seen.protocol == "TLSv1.3"
        assert seen.leaf.fingerprint_sha256 == issued.fingerprint
        assert seen.leaf.serial == issued.serial
        assert seen.presented[0] == issued.fingerprint
        assert len(seen.presented) == 2


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_one_connection_shows_also_a_certificate_that_is_refused(
    authority: Authority, prober: Prober, version: ssl.TLSVersion
) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    issued = authority.issue(HOST, not_before=past - timedelta(days=9), not_after=past)
    async with tls_server(issued) as server:
        server.context.maximum_version = version
        seen = await prober.shake("127.0.0.1", server.port, server_name=HOST)
        assert seen.trust_problem is TrustProblem.EXPIRED
        assert seen.leaf.fingerprint_sha256 == issued.fingerprint
        assert len(seen.presented) == 2
        assert server.hellos == 1


async def test_each_fault_of_trust_has_its_name(authority: Authority, prober: Prober) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    sound, stranger = authority.issue(HOST), Authority("another").issue(HOST)
    cases = [
        (authority.issue(HOST, not_before=tomorrow), None, TrustProblem.NOT_YET_VALID),
        (authority.issue("other.example.org"), None, TrustProblem.WRONG_HOST),
        (authority.issue(), None, TrustProblem.WRONG_HOST),
        (sound, sound.leaf_pem, TrustProblem.CHAIN_INCOMPLETE),
        (stranger, None, TrustProblem.UNTRUSTED),
        (Authority.self_signed(HOST), None, TrustProblem.SELF_SIGNED),
    ]
    for issued, chain_pem, problem in cases:
        async with tls_server(issued, chain_pem=chain_pem) as server:
            seen = await prober.shake("127.0.0.1", server.port, server_name=HOST)
            assert (seen.trust_problem, seen.leaf.fingerprint_sha256) == (problem, issued.fingerprint)


async def test_without_verification_the_handshake_goes_to_its_end(authority: Authority) -> None:
    async with tls_server(Authority.self_signed("else.example.org")) as server:
        seen = await Prober(verify=False).shake("127.0.0.1", server.port, server_name=HOST)
        assert seen.trust_problem is None
        await reach(lambda: server.shaken == 1)
    async with tls_server(authority.issue(HOST)) as server:
        assert (await Prober().shake("127.0.0.1", server.port, server_name=HOST)).trust_problem is not None


async def test_a_swapped_certificate_is_seen_by_the_next_handshake(authority: Authority, prober: Prober) -> None:
    async with tls_server(authority.issue(HOST)) as server:
        for _ in range(10):
            issued = authority.issue(HOST)
            server.show(issued)
            seen = await prober.shake("127.0.0.1", server.port, server_name=HOST)
            assert seen.leaf.fingerprint_sha256 == issued.fingerprint


async def test_a_closed_port_is_unreachable(prober: Prober) -> None:
    with pytest.raises(HandshakeError, match="connection refused") as caught:
        await prober.shake("127.0.0.1", free_port(), server_name=HOST)
    assert caught.value.problem is HandshakeProblem.UNREACHABLE


async def test_an_unknown_host_is_unreachable(prober: Prober) -> None:
    with pytest.raises(HandshakeError) as caught:
        await prober.shake("no-such-host.invalid", 443, server_name=HOST)
    assert caught.value.problem is HandshakeProblem.UNREACHABLE


async def test_a_server_that_speaks_no_tls_fails(prober: Prober) -> None:
    def http(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.recv(4096)

    async with plain_server(http) as port:
        with pytest.raises(HandshakeError, match="wrong version number") as caught:
            await prober.shake("127.0.0.1", port, server_name=HOST)
    assert caught.value.problem is HandshakeProblem.TLS_FAILED


async def test_a_server_that_hangs_up_fails(prober: Prober) -> None:
    async with plain_server(lambda connection: connection.close()) as port:
        with pytest.raises(HandshakeError) as caught:
            await prober.shake("127.0.0.1", port, server_name=HOST)
    assert caught.value.problem is HandshakeProblem.TLS_FAILED


async def test_a_silent_server_fails_in_time() -> None:
    def say_nothing(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass

    async with plain_server(say_nothing) as port:
        with pytest.raises(HandshakeError, match=r"no answer in 0\.2 s") as caught:
            await Prober(timeout_s=0.2, verify=False).shake("127.0.0.1", port, server_name=HOST)
    assert caught.value.problem is HandshakeProblem.TLS_FAILED


async def test_a_server_that_talks_without_end_is_cut_off() -> None:
    def babble(connection: socket.socket) -> None:
        # A ServerHello that promises 128 KiB, and then handshake records for ever.
        connection.sendall(b"\x16\x03\x03\x40\x00\x02\x01\xff\xff" + b"\0" * 16380)
        while True:
            connection.sendall(b"\x16\x03\x03\x40\x00" + b"\0" * 16384)

    async with plain_server(babble) as port:
        with pytest.raises(HandshakeError) as caught:
            await Prober(verify=False).shake("127.0.0.1", port, server_name=HOST)
    assert caught.value.problem is HandshakeProblem.TLS_FAILED


async def test_a_server_that_wants_a_client_certificate_is_seen(authority: Authority, prober: Prober) -> None:
    issued = authority.issue(HOST)
    async with tls_server(issued) as server:
        server.context.verify_mode = ssl.CERT_REQUIRED
        seen = await prober.shake("127.0.0.1", server.port, server_name=HOST)
        assert seen.leaf.fingerprint_sha256 == issued.fingerprint


async def test_a_name_that_cant_be_sent_is_told(authority: Authority, prober: Prober) -> None:
    async with tls_server(authority.issue(HOST)) as server:
        for name in (".example.org", "x" * 300 + ".org", "a\0b.example.org"):
            with pytest.raises(HandshakeError, match="server name") as caught:
                await prober.shake("127.0.0.1", server.port, server_name=name)
            assert caught.value.problem is HandshakeProblem.TLS_FAILED


async def test_new_roots_in_the_file_count_at_once(tmp_path: Path) -> None:
    old, new = Authority("old"), Authority("new")
    roots = tmp_path / "roots.pem"
    roots.write_text(old.root_pem)
    prober = Prober(ca_file=roots)
    async with tls_server(new.issue(HOST)) as server:
        seen = await prober.shake("127.0.0.1", server.port, server_name=HOST)
        assert seen.trust_problem is TrustProblem.UNTRUSTED
        roots.write_text(old.root_pem + new.root_pem)
        assert (await prober.shake("127.0.0.1", server.port, server_name=HOST)).trust_problem is None
        roots.unlink()
        assert (await prober.shake("127.0.0.1", server.port, server_name=HOST)).trust_problem is None


async def test_missing_or_empty_roots_are_told(tmp_path: Path) -> None:
    with pytest.raises(TrustRootsError, match="no such file"):
        await Prober(ca_file=tmp_path / "none.pem").shake("127.0.0.1", 1, server_name=HOST)
    (tmp_path / "empty.pem").write_text("nothing\n")
    with pytest.raises(TrustRootsError):
        await Prober(ca_file=tmp_path / "empty.pem").shake("127.0.0.1", 1, server_name=HOST)


async def reach(condition: Callable[[], bool], *, within_s: float = HANG_S) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 # the server has no event for it
            await asyncio.sleep(0.005)
