"""What travels over loopback at the ports of a system, as anybody with the right to look would see it. Needs root."""

import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["Capture", "capturing"]

_ALL_PROTOCOLS: Final = 0x0003  # ETH_P_ALL of linux/if_ether.h
_IPV4: Final = 0x0800
_TCP: Final = 6
_ETHERNET: Final = 14
_RECEIVE_BUFFER: Final = 256 * 1024 * 1024
_FORCED: Final = 33  # SO_RCVBUFFORCE of asm-generic/socket.h


class Capture:
    """The TCP payload of each connection and direction, in the order in which it was sent."""

    def __init__(self, ports: Collection[int]) -> None:
        self._ports = frozenset(ports)
        self._flows: dict[tuple[int, int], bytearray] = {}

    @property
    def size(self) -> int:
        return sum(map(len, self._flows.values()))

    def take(self, frame: bytes) -> None:
        if len(frame) < _ETHERNET + 40 or int.from_bytes(frame[12:14]) != _IPV4 or frame[_ETHERNET + 9] != _TCP:
            return
        packet = memoryview(frame)[_ETHERNET:]
        packet = packet[: int.from_bytes(packet[2:4])]
        segment = packet[(packet[0] & 0x0F) * 4 :]
        ports = int.from_bytes(segment[0:2]), int.from_bytes(segment[2:4])
        payload = segment[(segment[12] >> 4) * 4 :]
        if payload and not self._ports.isdisjoint(ports):
            self._flows.setdefault(ports, bytearray()).extend(payload)

    def holding(self, needle: bytes) -> list[tuple[int, int]]:
        """From which port to which the bytes went, where they did."""
        return sorted(ports for ports, sent in self._flows.items() if needle in sent)


@contextmanager
def capturing(ports: Collection[int]) -> Iterator[Capture]:
    """Each frame shows once: loopback hands it out on its way out and on its way in, and one of them is left out."""
    capture = Capture(ports)
    ended = threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, _FORCED, _RECEIVE_BUFFER)
        tap.bind(("lo", _ALL_PROTOCOLS))
        tap.settimeout(0.2)

        def listen() -> None:
            while not ended.is_set():
                try:
                    frame, (_, _, kind, *_) = tap.recvfrom(1 << 17)
                except TimeoutError:
                    continue
                if kind != socket.PACKET_OUTGOING:
                    capture.take(frame)

        listening = threading.Thread(target=listen)
        listening.start()
        try:
            yield capture
        finally:
            ended.set()
            listening.join()
