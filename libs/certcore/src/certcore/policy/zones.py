"""DNS names of a policy: what lies in a zone, and what nobody or no public CA may be asked for."""

import re
from functools import lru_cache
from typing import Annotated, Final

from publicsuffixlist import PublicSuffixList
from pydantic import AfterValidator

from certcore.names import DnsName, ends_in_number, is_a_label

__all__ = ["ExactName", "Zone", "host_of", "is_wildcard", "lies_in", "nearest", "signable_in_public"]

_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_NEVER_PUBLIC: Final = (
    *("local", "localhost", "internal", "test", "example", "invalid", "onion", "home.arpa"),
    *("in-addr.arpa", "ip6.arpa"),
)
"""RFC 2606, 6761, 6762, 7686, 8375, ICANN's reservation of .internal, and addresses turned round: no public CA may
sign a name below them.
"""


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


def _check_zone(value: str) -> str:
    if not value.isascii():
        raise ValueError("is not ASCII: give an internationalised name in its A-label form (xn--…)")
    zone = value.lower()
    if zone.startswith("*"):
        raise ValueError("has a wildcard: a zone is everything below a name, give the name alone")
    if len(zone) > 253 or not all(_LABEL.fullmatch(label) for label in zone.split(".")):
        raise ValueError("is no DNS name, such as corp.example.org")
    if ends_in_number(zone):
        raise ValueError("is an address or ends in a number: only DNS names can be given")
    if strange := next(
        (label for label in zone.split(".") if label.startswith("xn--") and not is_a_label(label)), None
    ):
        raise ValueError(f"is no DNS name: {strange} stands for no internationalised label")
    if _suffixes().publicsuffix(zone) == zone:
        raise ValueError("is a public suffix: below it are the names of others")
    return zone


Zone = Annotated[str, AfterValidator(_check_zone)]
"""A DNS name and everything below it. Not a public suffix; a single label where none is known, as `local`."""

ExactName = DnsName
"""One DNS name, which may be a wildcard: then it is this wildcard, and nothing that it would match."""


def is_wildcard(name: str) -> bool:
    return name.startswith("*.")


def host_of(name: str) -> str:
    """Of a wildcard, the name that it stands below; else the name."""
    return name.removeprefix("*.")


def lies_in(name: str, zone: str) -> bool:
    """Whether the name is the zone's or below it; a wildcard, where all that it matches is."""
    host = host_of(name)
    return host == zone or host.endswith(f".{zone}")


def nearest(name: str, zones: tuple[str, ...]) -> str | None:
    """The longest of the zones that the name lies in."""
    return max((zone for zone in zones if lies_in(name, zone)), key=len, default=None)


@lru_cache(maxsize=4096)
def signable_in_public(name: str) -> bool:
    """Whether a public CA may sign the name: it lies under a public suffix and under nothing reserved, and no label
    has the form that RFC 5890 reserves, such as `ab--cd`.
    """
    if any(lies_in(name, reserved) for reserved in _NEVER_PUBLIC):
        return False
    if any(label[2:4] == "--" and not label.startswith("xn") for label in name.split(".")):
        return False
    return _suffixes().publicsuffix(host_of(name)) is not None
