"""Addresses that never leave the machine: the only ones where plain text may be allowed."""

from ipaddress import ip_address

__all__ = ["is_loopback"]


def is_loopback(host: str) -> bool:
    """Whether a URL's host is `localhost` (RFC 6761 §6.3) or a loopback address. No other name is looked up."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
