import ipaddress
from dataclasses import dataclass
from typing import Self

__all__ = ["DnsServer"]


@dataclass(frozen=True)
class DnsServer:
    address: str
    port: int

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read address:port; an IPv6 address stands in brackets.

        Raises:
            ValueError: it is none.
        """
        host, _, port = value.rpartition(":")
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{value!r:.80} is not address:port")
        try:
            address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            raise ValueError(f"{value!r:.80} is not address:port; a name server is given by address") from None
        return cls(str(address), int(port))
