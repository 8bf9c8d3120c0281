"""Who listens at a TCP port of 127.0.0.1, as Linux tells it under /proc."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["holder", "listeners", "opened_by_session"]

_TABLES: Final = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTEN: Final = "0A"  # TCP_LISTEN of include/net/tcp_states.h
# What answers at 127.0.0.1: that address, the wildcards of both families, and the address mapped into IPv6.
_ADDRESSES: Final = frozenset({"0100007F", "0" * 8, "0" * 32, "0000000000000000FFFF00000100007F"})
_SOCKET: Final = re.compile(r"socket:\[(\d+)\]")


def listeners(port: int) -> frozenset[int]:
    """The inodes of all sockets that listen there: more than one where programs share a port (SO_REUSEPORT)."""
    found: set[int] = set()
    for table in _TABLES:
        # A machine without IPv6 has no second table.
        with suppress(FileNotFoundError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                address, _, number = fields[1].partition(":")
                if fields[3] == _LISTEN and int(number, 16) == port and address in _ADDRESSES:
                    found.add(int(fields[9]))
    return frozenset(found)


def opened_by_session(sockets: frozenset[int], session: int) -> bool:
    """Whether each of these sockets is open in a process of the session."""
    left = set(sockets)
    for pid in _processes():
        if not left:
            break
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == session:
                left -= _sockets_of(pid)
    return not left


def holder(sockets: frozenset[int]) -> str:
    """A process that has one of these sockets open, for a message: name and number, where this user may see them."""
    for pid in _processes():
        if sockets & _sockets_of(pid):
            with suppress(OSError):
                return f"{Path(f'/proc/{pid}/comm').read_text().strip()} (process {pid})"
    return "a program of another user"


def _processes() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _sockets_of(pid: int) -> set[int]:
    found: set[int] = set()
    # The process may end meanwhile, or belong to somebody else.
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if match := _SOCKET.fullmatch(str(descriptor.readlink())):
                    found.add(int(match[1]))
    return found
