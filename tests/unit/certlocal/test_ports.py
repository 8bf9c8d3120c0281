import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from certlocal.errors import PortTakenError
from certlocal.ports import PortBook, free_port, is_free


def test_no_port_is_given_twice() -> None:
    assert len({free_port() for _ in range(50)}) == 50


def test_a_free_port_is_below_those_of_outgoing_connections() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    assert all(1024 < free_port() < lowest for _ in range(20))


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_that_either_protocol_uses_is_not_free(kind: socket.SocketKind) -> None:
    port = free_port()
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", port))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        assert not is_free(port)
    assert is_free(port)


def test_a_name_keeps_its_port(tmp_path: Path) -> None:
    first = PortBook(tmp_path / "ports.json")
    ports = [first.port("nats"), first.port("pebble")]

    again = PortBook(tmp_path / "ports.json")

    assert [again.port("nats"), again.port("pebble")] == ports


def _port_of_nobody() -> int:
    """Free, outside of what `free_port` hands out, and hardly what another run of these tests takes at once."""
    choice = random.SystemRandom()
    return next(port for port in iter(lambda: choice.randrange(10000, 18000), None) if is_free(port))


def test_a_wanted_port_is_taken_where_it_is_free(tmp_path: Path) -> None:
    wanted = _port_of_nobody()
    assert PortBook(tmp_path / "ports.json").port("page", wanted=wanted) == wanted


def test_a_wanted_port_where_a_stranger_listens_is_not_taken(tmp_path: Path) -> None:
    wanted = _port_of_nobody()
    with socket.create_server(("127.0.0.1", wanted)):
        assert PortBook(tmp_path / "ports.json").port("page", wanted=wanted) != wanted


def test_two_launchers_that_want_one_free_port_get_two(tmp_path: Path) -> None:
    wanted = _port_of_nobody()
    script = f"""
import sys
from pathlib import Path
from certlocal.ports import PortBook
print(PortBook(Path({str(tmp_path)!r}, sys.argv[1])).port("page", wanted={wanted}), flush=True)
input()
"""
    words = [sys.executable, "-c", script]
    launchers = [
        subprocess.Popen([*words, f"{name}.json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    try:
        # Nobody listens at it yet: each of the two finds it free.
        given = [int(launcher.stdout.readline()) for launcher in launchers if launcher.stdout]
        mine = PortBook(tmp_path / "mine.json").port("page", wanted=wanted)
        kept = PortBook(tmp_path / "one.json").port("page")
    finally:
        for launcher in launchers:
            launcher.communicate("\n")
    assert len({*given, mine}) == 3
    assert wanted in given
    assert kept != given[0], "what another launcher has is not taken for kept"


def test_a_kept_port_that_others_took_is_replaced_unless_it_is_fixed(tmp_path: Path) -> None:
    book = PortBook(tmp_path / "ports.json")
    port = book.port("shop")
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(PortTakenError, match=f"port {port} \\(shop\\) is in use"):
            book.port("shop", fixed=True)
        replaced = book.port("shop")

    assert replaced != port
    assert PortBook(tmp_path / "ports.json").port("shop") == replaced
