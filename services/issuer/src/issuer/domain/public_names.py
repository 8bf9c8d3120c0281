"""Which names no public CA may certify, and why: a public CA would refuse them, or publish them for ever."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["CLIENT_PROFILES", "PrivateName", "PrivateReason", "private_names"]


class PrivateReason(StrEnum):
    """Field of log lines."""

    BARE = "bare_name"
    ADDRESS = "address"
    SPECIAL_USE = "special_use_suffix"
    REVERSE = "reverse_zone"
    CLIENT_ONLY = "client_only"


_SPECIAL_USE: Final = {
    "alt": "RFC 9476",
    "example": "RFC 6761",
    "home.arpa": "RFC 8375",
    "internal": "ICANN, reserved for private use",
    "invalid": "RFC 6761",
    "local": "RFC 6762",
    "localhost": "RFC 6761",
    "onion": "RFC 7686",
    "test": "RFC 6761",
    # Never delegated, because so many networks use them: SAC 045, and ICANN's resolution of 2018-02-04.
    "corp": "ICANN, never delegated",
    "home": "ICANN, never delegated",
    "mail": "ICANN, never delegated",
    # RFC 6762, appendix G: used beside .local, and not delegated.
    "intranet": "RFC 6762, appendix G",
    "lan": "RFC 6762, appendix G",
    "private": "RFC 6762, appendix G",
}
"""Suffixes that no registry delegates, and who says so. `.onion` names have rules of their own at public CAs, which
certbus doesn't follow.
"""

_REVERSE: Final = ("in-addr.arpa", "ip6.arpa")

CLIENT_PROFILES: Final = frozenset({"client", "tlsclient"})
"""Profiles of certificates for clients alone: public CAs issue none any more (Let's Encrypt: since 2026-07-08)."""

_WHY: Final = {
    PrivateReason.BARE: "has no dot, and means another host in each network",
    PrivateReason.ADDRESS: "is an address",
    PrivateReason.REVERSE: "is in a zone for reverse look-ups",
    PrivateReason.CLIENT_ONLY: "is asked for a client alone, and public CAs certify servers",
}


@dataclass(frozen=True)
class PrivateName:
    name: str
    reason: PrivateReason
    why: str

    def __str__(self) -> str:
        return f"{self.name[:80]} {self.why}"


def private_names(dns_names: Sequence[str], *, profile: str | None = None) -> tuple[PrivateName, ...]:
    """Those of the names that must not go to a public CA, in their order; `profile` is that of the issue order."""
    if profile in CLIENT_PROFILES:
        reason = PrivateReason.CLIENT_ONLY
        return tuple(PrivateName(name, reason, _WHY[reason]) for name in dns_names)
    return tuple(found for name in dns_names if (found := _private(name)) is not None)


def _private(name: str) -> PrivateName | None:
    host = name.lower().rstrip(".").removeprefix("*.")
    if _is_address(host):
        return PrivateName(name, PrivateReason.ADDRESS, _WHY[PrivateReason.ADDRESS])
    for suffix, who in _SPECIAL_USE.items():
        if _under(host, suffix):
            return PrivateName(
                name, PrivateReason.SPECIAL_USE, f"is under .{suffix}, which is for private use ({who})"
            )
    if any(_under(host, suffix) for suffix in _REVERSE):
        return PrivateName(name, PrivateReason.REVERSE, _WHY[PrivateReason.REVERSE])
    if "." not in host:
        return PrivateName(name, PrivateReason.BARE, _WHY[PrivateReason.BARE])
    return None


def _under(host: str, suffix: str) -> bool:
    return host == suffix or host.endswith(f".{suffix}")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        # What ends in a number can only be meant as an address (RFC 1123 §2.1).
        return host.rpartition(".")[2].isdigit()
    return True
