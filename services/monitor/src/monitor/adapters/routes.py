import socket
from collections.abc import Set as AbstractSet
from typing import Final

__all__ = ["reachable"]

_DISCARD: Final = 9


def reachable(addresses: AbstractSet[str]) -> list[str]:
    """Without the family that this machine has no route for, as long as the other one is there to be looked at."""
    routed = {address for address in addresses if _has_route(address)}
    return sorted(routed or addresses)


def _has_route(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        # Connecting a datagram socket sends nothing: the kernel only looks for a way.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, _DISCARD))
    except OSError:
        return False
    return True
