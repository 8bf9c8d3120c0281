"""The story, with everything captured that crosses loopback: `python -m tests.e2e.captured_story HOME REPORT`.

Run it in a network namespace of its own: there nothing else speaks. What must not be read in the capture is taken
from the home afterwards. As a control, some of it is then sent in plain text.
"""

import base64
import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from tests.e2e.capture import Capture, Stream, raise_loopback
from tests.e2e.strangers import stranger
from tests.ports import free_port

__all__ = ["Report"]

_OPEN: Final = frozenset({"dns", "dns-management", "http01"})
"""Ports of the challenges, which are meant to be read by anybody."""
_HANDSHAKE: Final = b"\x16\x03"


class Report(BaseModel):
    """`found` and `planted` name what was read in the capture: of the story, and of the control."""

    model_config = ConfigDict(frozen=True)

    dropped: int
    captured_bytes: int
    needles: dict[str, int]
    found: tuple[str, ...]
    not_tls: tuple[str, ...]
    reached: tuple[str, ...]
    planted: tuple[str, ...]


def _needles(home: Path) -> dict[str, list[bytes]]:
    """What may not be read, by what it is."""
    with closing(sqlite3.connect(f"file:{home / 'registry' / 'registry.db'}?mode=ro", uri=True)) as database:
        sealed: list[bytes] = _column(database, "SELECT sealed FROM bundle")
        chains: list[str] = _column(database, "SELECT chain_pem FROM revision")
        events: list[str] = _column(database, "SELECT id FROM event")
        certificates: list[str] = _column(database, "SELECT id FROM certificate")
        names: list[str] = _column(database, "SELECT name FROM certificate")
    return {
        "token": [file.read_bytes().strip() for file in sorted((home / "tokens").iterdir())],
        "seed": [file.read_bytes().strip() for file in sorted((home / "keys").iterdir())],
        "sealed": [form for item in sealed for form in _forms(item)],
        # A line from the middle, whatever the line ends are.
        "chain": [chain.splitlines()[5].encode() for chain in chains],
        "event": [identity.encode() for identity in events],
        "certificate": [identity.encode() for identity in certificates],
        "name": [f'"name":{space}"{name}"'.encode() for name in names for space in ("", " ")],
        "event type": [b"certbus.certificate.", b"certbus.delivery.", b"certbus.site.", b"ce-type"],
        "bus": [b"$JS.API", b"certs.ev.", b"certs.deploy.", b'"nkey"', b'"server_id"'],
        "http": [b"Bearer ", b"certbus_session", b"/sign-in?code=", b"/v1/"],
        "pem": [b"-----BEGIN "],
    }


def _column(database: sqlite3.Connection, query: str) -> list[Any]:
    return [value for (value,) in database.execute(query)]


def _forms(sealed: bytes) -> Iterable[bytes]:
    """As it is, and in base64: a part from the middle of each."""
    yield sealed[40:80]
    yield base64.b64encode(sealed)[40:100]
    yield base64.urlsafe_b64encode(sealed)[40:100]


def _found(streams: Iterable[Stream], needles: Mapping[str, list[bytes]]) -> tuple[str, ...]:
    contents = [stream.content for stream in streams]
    return tuple(
        kind for kind, forms in needles.items() if any(form in content for form in forms for content in contents)
    )


def _plant(needles: Mapping[str, list[bytes]]) -> None:
    """Send one of each in plain text."""
    port = free_port()
    with stranger(port), socket.create_connection(("127.0.0.1", port)) as connection:
        body = b"\n".join(forms[0] for forms in needles.values())
        connection.sendall(b"POST /planted HTTP/1.0\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        while connection.recv(4096):
            pass


def main(home: Path, report: Path) -> None:
    raise_loopback()
    with Capture() as capture:
        command = [sys.executable, "-m", "certbus", "run", "--once", "--home", str(home)]
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if run.returncode != 0:
            sys.exit(f"the story failed:\n{run.stdout}")
        streams = capture.streams()
        needles = _needles(home)
        ports = {port: name for name, port in json.loads((home / "ports.json").read_text()).items()}
        ours = [stream for stream in streams if ports.get(stream.destination, "dns") not in _OPEN]
        found = _found(streams, needles)
        _plant(needles)
        planted = _found(capture.streams(), needles)
        told = Report(
            dropped=capture.dropped,
            captured_bytes=sum(len(stream.content) for stream in streams),
            needles={kind: len(forms) for kind, forms in needles.items()},
            found=found,
            not_tls=tuple({ports[one.destination] for one in ours if not one.content.startswith(_HANDSHAKE)}),
            reached=tuple({ports[one.destination] for one in ours}),
            planted=planted,
        )
    report.write_text(told.model_dump_json())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
