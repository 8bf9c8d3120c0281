"""The TXT record of dns-persist-01 (draft-ietf-acme-dns-persist): set once, it lets an account issue from then on."""

from typing import Final

__all__ = ["covering_value", "persistent_name", "persistent_value"]

_LABEL: Final = "_validation-persist"
_FOR_WILDCARDS: Final = "; policy=wildcard"


def persistent_name(identifier: str) -> str:
    return f"{_LABEL}.{identifier}"


def persistent_value(issuer_domain_name: str, *, account_url: str, wildcard: bool) -> str:
    """`issuer_domain_name` is one of the challenge's `issuer-domain-names`. The policy for wildcards covers the name
    itself as well.
    """
    value = f"{issuer_domain_name}; accounturi={account_url}"
    return covering_value(value) if wildcard else value


def covering_value(value: str) -> str:
    """That of a name's wildcard, by the value of the name alone."""
    return f"{value}{_FOR_WILDCARDS}"
