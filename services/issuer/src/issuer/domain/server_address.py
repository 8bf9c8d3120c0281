"""Addresses of servers as people write them: `192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:53`, `ns1.example.org`."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

__all__ = ["ServerAddress", "server_address"]

_WRITTEN: Final = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, order=True)
class ServerAddress:
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 53 else f"{host}:{self.port}"

    @property
    def is_ip(self) -> bool:
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True


def server_address(written: str, *, port: int = 53) -> ServerAddress:
    """The address; `port` is that of one that names none.

    Raises:
        ValueError: it is none.
    """
    try:
        return ServerAddress(str(ip_address(written)), port)
    except ValueError:
        found = _WRITTEN.fullmatch(written)
    if found is None or not 0 < int(found["port"] or port) <= 65535:
        raise ValueError("must be HOST or HOST:PORT; an IPv6 address with a port stands in brackets") from None
    return ServerAddress(str(ip_address(found["six"])) if found["six"] else found["host"], int(found["port"] or port))
