"""What somebody on the wire learns while the story is played."""

import asyncio
import json
import socket
from collections.abc import Iterator

from certlocal.ports import free_port
from certlocal.story import Story
from certlocal.system import LocalSystem
from tests.holds.capture import capturing

__all__ = ["overheard"]

_EVENT = (b"ce-type", b"certbus.certificate.", b"certbus.delivery.", b"PUB certs.", b"HPUB certs.")
_BUNDLE = (b'"sealed', b'"ciphertext', b"PRIVATE KEY")
_TOKEN = (b"Bearer ", b"bearer ")
_CONTROL = b"ce-type: what is told in clear"


async def overheard(system: LocalSystem) -> None:
    """The story is played, and nothing of it travels in clear: no token, no bundle, no event."""
    control = free_port()
    ports = json.loads(system.home.path("ports.json").read_text())
    told: list[str] = []
    with capturing([*ports.values(), control]) as capture:
        held = await Story(system, tell=told.append).play()
        await asyncio.to_thread(_tell_in_clear, control)
        await asyncio.sleep(0.5)
    assert held, "\n".join(told)
    print(f"  {capture.size / 1024 / 1024:.1f} MiB were seen at {len(ports)} ports")
    assert [to for _, to in capture.holding(_CONTROL)] == [control], "the capture doesn't see what is in clear"
    names = {port: name for name, port in ports.items()}
    found = {
        f"{what} at {names.get(there) or names.get(here)}"
        for what, needle in _needles(system)
        for here, there in capture.holding(needle)
        if control not in {here, there}
    }
    assert not found, "\n".join(["travelled in clear:", *sorted(found)])


def _needles(system: LocalSystem) -> Iterator[tuple[str, bytes]]:
    for file in sorted(system.home.path("tokens").iterdir()):
        yield f"the token of {file.name}", file.read_bytes().strip()
    for what, needles in (("an event", _EVENT), ("a bundle", _BUNDLE), ("some token", _TOKEN)):
        yield from ((f"{what} ({needle.decode()})", needle) for needle in needles)


def _tell_in_clear(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as server, socket.create_connection(("127.0.0.1", port)) as client:
        accepted, _ = server.accept()
        with accepted:
            client.sendall(_CONTROL)
            accepted.recv(1024)
