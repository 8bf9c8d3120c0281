"""The DNS of a local system: Knot has the names inside where it can be had, and the CA's test server all others.

The test server answers 127.0.0.1 for every name, and takes TXT records from whoever asks. Knot takes them by signed
updates, as a company's own DNS does. The CA asks Knot about all names; it passes on what it doesn't have.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.asyncquery
import dns.exception
import dns.message
import dns.rdatatype

from certlocal.errors import PartMissingError
from certlocal.home import Home
from certlocal.knot_server import KnotServer, KnotZone, TsigKey, knot_program
from certlocal.pebble_ca import ChallengeDns
from certlocal.private_file import replace_file
from certlocal.tools import Tell

__all__ = ["INSIDE", "LocalDns", "UpdatedDns", "make_dns"]

INSIDE: Final = "internal.example.test"
_KEY_NAME: Final = "certbus"
_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True)
class UpdatedDns:
    """A server that takes updates of `zone` (RFC 2136) from whoever has the key."""

    zone: str
    host: str
    port: int
    key_name: str
    key_file: Path


@dataclass(frozen=True)
class LocalDns:
    """`knot` and `updated` are there together, or neither is."""

    test_server: ChallengeDns
    knot: KnotServer | None = None
    updated: UpdatedDns | None = None

    @property
    def resolver(self) -> str:
        """Where every name is found, host:port."""
        return self.knot.address if self.knot is not None else self.test_server.dns

    async def serial(self) -> int:
        """The zone's serial, which grows with each update; 0 without Knot."""
        if self.knot is None:
            return 0
        query = dns.message.make_query(f"{INSIDE}.", "SOA")
        try:
            answer = await dns.asyncquery.udp(query, self.knot.host, port=self.knot.port, timeout=_TIMEOUT_S)
        except dns.exception.DNSException:
            return 0
        return next((record.serial for found in answer.answer for record in found), 0)


def make_dns(
    home: Home,
    *,
    test_server: ChallengeDns,
    tell: Tell,
    knot: bool = True,
    find_knot: Callable[[Tell], Path] = knot_program,
) -> LocalDns:
    """Nothing of it is started yet. `knot` is whether Knot is wanted."""
    if not knot:
        return LocalDns(test_server)
    try:
        program = find_knot(tell)
    except PartMissingError as error:
        tell(f"  without Knot: {error}")
        return LocalDns(test_server)
    folder = home.path("knot")
    key_file = folder / "tsig.key"
    host, _, port = test_server.dns.rpartition(":")
    server = KnotServer(
        program=program,
        folder=folder,
        port=home.ports.port("knot"),
        # A name has no address while its challenge stands below it. Only the CA would miss it, and doesn't ask then.
        zones=[KnotZone(INSIDE, servers=("127.0.0.1",), records=("@ A 127.0.0.1", "* A 127.0.0.1"))],
        key=_kept_key(key_file),
        others=(host, int(port)),
        run_folder=home.sockets / "knot",
    )
    return LocalDns(test_server, server, UpdatedDns(INSIDE, server.host, server.port, _KEY_NAME, key_file))


def _kept_key(file: Path) -> TsigKey:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(file, f"{TsigKey(_KEY_NAME).secret}\n".encode(), mode=0o600)
    return TsigKey(_KEY_NAME, secret=file.read_text().strip())
