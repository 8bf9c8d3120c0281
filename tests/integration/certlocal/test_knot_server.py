"""Knot as `make run` has it: one server for the names inside, which passes on all that it doesn't have."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.query
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import pytest

from certlocal.knot_server import KnotServer, KnotZone, TsigKey, knot_program
from certlocal.tools import Tell
from tests.ports import free_port
from tests.servers import Pebble

pytestmark = pytest.mark.integration

_KEY = TsigKey("certbus")


@asynccontextmanager
async def _knot(
    folder: Path, tell: Tell, *, records: Sequence[str] = ("* A 127.0.0.1",), others: str = "127.0.0.1:9"
) -> AsyncIterator[KnotServer]:
    host, _, port = others.rpartition(":")
    server = KnotServer(
        program=knot_program(tell),
        folder=folder,
        port=free_port(),
        zones=[KnotZone("inside.test", servers=("127.0.0.1",), records=records)],
        key=_KEY,
        others=(host, int(port)),
    )
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


async def _found(server: KnotServer, name: str, kind: str) -> list[str]:
    answer = await dns.asyncquery.udp(dns.message.make_query(name, kind), server.host, port=server.port, timeout=10)
    return [record.to_text() for found in answer.answer for record in found]


async def _add(server: KnotServer, value: str) -> None:
    ring = dns.tsigkeyring.from_text({_KEY.name: _KEY.secret})
    update = dns.update.UpdateMessage("inside.test.", keyring=ring, keyalgorithm=f"{_KEY.algorithm}.")
    update.add("_acme-challenge.a.inside.test.", 60, "TXT", value)
    answer = await dns.asyncquery.tcp(update, server.host, port=server.port, timeout=10)
    assert answer.rcode() == dns.rcode.NOERROR


async def test_what_was_changed_is_there_after_a_start_until_the_zone_is_given_another_text(
    tmp_path: Path, tell: Tell
) -> None:
    name = "_acme-challenge.a.inside.test"
    async with _knot(tmp_path, tell) as server:
        await _add(server, "one")
        assert await _found(server, name, "TXT") == ['"one"']
    async with _knot(tmp_path, tell) as server:
        assert await _found(server, name, "TXT") == ['"one"']
        await _add(server, "two")
    async with _knot(tmp_path, tell, records=("* A 127.0.0.2",)) as server:
        assert await _found(server, name, "TXT") == []
        assert await _found(server, "b.inside.test", "A") == ["127.0.0.2"]


async def test_names_outside_of_its_zones_are_passed_on(tmp_path: Path, tell: Tell, pebble: Pebble) -> None:
    async with _knot(tmp_path, tell, records=("a A 127.0.0.3",), others=pebble.dns) as server:
        assert await _found(server, "a.inside.test", "A") == ["127.0.0.3"]
        assert await _found(server, "shop.example.test", "A") == ["127.0.0.1"]
        assert await _found(server, "nobody.inside.test", "A") == []
