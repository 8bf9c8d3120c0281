"""Loopback ports: free ones, and ones that a folder keeps from start to start."""

import json
import random
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from certlocal.errors import PortTakenError

__all__ = ["PortBook", "free_port", "is_free"]

# Below the range that Linux hands to outgoing connections: a client of ours never takes a server's port.
_FIRST: Final = 18000
_LAST: Final = 32000
_RESERVED: Final[set[int]] = set()
_CHOICE: Final = random.SystemRandom()


def is_free(port: int) -> bool:
    """Whether both TCP and UDP can be bound on 127.0.0.1."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind is socket.SOCK_STREAM:
                # Connections of an earlier server that wait out their TIME_WAIT don't count.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def free_port() -> int:
    """A port that nobody listens on, and that neither this process nor another launcher was given before."""
    for _ in range(1000):
        port = _CHOICE.randrange(_FIRST, _LAST)
        if is_free(port) and _reserve(port):
            return port
    raise PortTakenError(f"no free port between {_FIRST} and {_LAST} on 127.0.0.1")


def _reserve(port: int) -> bool:
    """Keep a port for this process until it ends; False where it, or another launcher, has it already.

    Two launchers that look at once both find a port free. So each first binds a name in the abstract namespace of
    unix sockets: the kernel gives it to one of them, within the same bounds as the ports (a network namespace), and
    takes it back at the end of the process, however that comes.
    """
    if port in _RESERVED:
        return False
    if sys.platform == "linux":
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mark:
            try:
                mark.bind(f"\0certbus/port/{port}")
            except OSError:
                return False
            # From here on only the end of the process closes it.
            mark.detach()
    _RESERVED.add(port)
    return True


class PortBook:
    """Names for ports, kept in a file: a second start finds its servers where the first had them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ports: dict[str, int] = {}
        with suppress(FileNotFoundError):
            self._ports = {str(name): int(port) for name, port in json.loads(path.read_text()).items()}
        for port in self._ports.values():
            _reserve(port)

    def port(self, name: str, *, wanted: int | None = None, fixed: bool = False) -> int:
        """The port of this name, chosen at the first call: `wanted` if it is free.

        A kept port that somebody else took meanwhile is replaced, unless it is `fixed`: others know it. No other
        launcher on this machine is given a port of this book while this process lives.

        Raises:
            PortTakenError: a fixed port is in use.
        """
        kept = self._ports.get(name)
        if kept is not None and kept in _RESERVED and is_free(kept):
            return kept
        if kept is not None and fixed:
            raise PortTakenError(f"port {kept} ({name}) is in use on 127.0.0.1: stop what listens there")
        takes_wanted = kept is None and wanted is not None and is_free(wanted) and _reserve(wanted)
        port = wanted if takes_wanted and wanted is not None else free_port()
        self._ports[name] = port
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._ports, indent=2, sort_keys=True) + "\n")
        return port
