"""Everything that crosses the loopback interface, as the streams of its connections."""

import fcntl
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["Capture", "Stream", "raise_loopback"]

_ALL_PROTOCOLS: Final = 3
_OUTGOING: Final = 4
_BUFFER_BYTES: Final = 256 * 1024 * 1024
_RCVBUFFORCE: Final = 33
_LARGEST_FRAME: Final = 1 << 18
_IPV4: Final = 0x0800
_IPV6: Final = 0x86DD
_TCP: Final = 6
_SYN: Final = 0x02
_SOL_PACKET: Final = 263
_STATISTICS: Final = 6
_GET_FLAGS: Final = 0x8913
_SET_FLAGS: Final = 0x8914
_UP: Final = 0x1


def raise_loopback() -> None:
    """A fresh network namespace has its loopback interface down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name = b"lo"
        flags: int = struct.unpack("16xH", fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack("16sH", name, 0))[:18])[0]
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH", name, flags | _UP))


@dataclass(frozen=True)
class Stream:
    """What one end of a connection sent. For what is no TCP: the datagrams one after the other, both ports 0."""

    source: int
    destination: int
    content: bytes


class Capture:
    """Use it as a context manager, as root of the network namespace.

    Raises:
        PermissionError: raw sockets aren't allowed here.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        # Beyond the system's limit, where that is allowed: what has no room is counted by `dropped`.
        with suppress(PermissionError):
            self._socket.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _BUFFER_BYTES)
        self._socket.settimeout(0.1)
        self._frames: list[bytes] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._socket.bind(("lo", _ALL_PROTOCOLS))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    @property
    def dropped(self) -> int:
        """How many frames the kernel had no room for, since this was last asked."""
        _, dropped = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        return int(dropped)

    def streams(self) -> list[Stream]:
        """What was captured so far."""
        segments: defaultdict[tuple[bytes, int], list[tuple[int, bytes]]] = defaultdict(list)
        opened: defaultdict[bytes, int] = defaultdict(int)
        others = []
        for frame in tuple(self._frames):
            found = _tcp(frame)
            if found is None:
                others.append(frame)
                continue
            flow, tcp, payload = found
            if tcp[13] & _SYN:
                # The same pair of ports may serve another connection later.
                opened[flow] += 1
            if payload:
                segments[flow, opened[flow]].append((struct.unpack_from("!I", tcp, 4)[0], payload))
        return [
            *(_stream(flow, parts) for (flow, _), parts in segments.items()),
            Stream(0, 0, b"".join(others)),
        ]

    def _read(self) -> None:
        while not self._over.is_set():
            try:
                frame, (_, _, kind, *_) = self._socket.recvfrom(_LARGEST_FRAME)
            except TimeoutError:
                continue
            # On loopback each frame is seen twice: when it leaves, and when it arrives.
            if kind != _OUTGOING:
                self._frames.append(frame)


def _tcp(frame: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Ports and addresses, the TCP header, the payload; None for anything else."""
    (kind,) = struct.unpack_from("!H", frame, 12)
    packet = frame[14:]
    if kind == _IPV4 and packet[9] == _TCP:
        (length,) = struct.unpack_from("!H", packet, 2)
        addresses, segment = packet[12:20], packet[(packet[0] & 15) * 4 : length or None]
    elif kind == _IPV6 and packet[6] == _TCP:
        addresses, segment = packet[8:40], packet[40:]
    else:
        return None
    return segment[:4] + addresses, segment[:20], segment[(segment[12] >> 4) * 4 :]


def _stream(flow: bytes, parts: list[tuple[int, bytes]]) -> Stream:
    source, destination = struct.unpack_from("!HH", flow)
    return Stream(source, destination, b"".join(_in_order(parts)))


def _in_order(parts: list[tuple[int, bytes]]) -> Iterator[bytes]:
    """Without what was sent twice. Sequence numbers wrap at 2³²."""
    first = parts[0][0]
    position: int | None = None
    for start, payload in sorted((_distance(first, number), payload) for number, payload in parts):
        position = start if position is None else position
        yield payload[max(0, position - start) :]
        position = max(position, start + len(payload))


def _distance(first: int, number: int) -> int:
    """How far a sequence number is behind the first that was captured, or before it where they came out of order."""
    return (number - first + (1 << 31)) % (1 << 32) - (1 << 31)
