"""Where and by which names a delivery is proven."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["ProbeAddress", "probe_names"]

_WILDCARD_LABEL: Final = "certbus-probe"


@dataclass(frozen=True)
class ProbeAddress:
    host: str
    port: int

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read host:port; an IPv6 address stands in brackets.

        Raises:
            ValueError: it is none.
        """
        host, _, port = value.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{value!r:.80} is not host:port")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def probe_names(dns_names: Sequence[str]) -> tuple[str, ...]:
    """Server names to send, one for each: another file may take any of them. A wildcard is tried by a label that
    stands for any other.
    """
    return tuple(_WILDCARD_LABEL + name[1:] if name.startswith("*.") else name for name in dns_names)
