"""What a certificate is found by that has several values: names, labels, places, and the words that text begins."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from certcore.intent import Intent
from certcore.names import registered_domain

__all__ = ["LONGEST", "FactKind", "facts_of"]

LONGEST: Final = 253
"""Characters of a value. No door lets a longer one in."""


class FactKind(StrEnum):
    DNS = "dns"
    DOMAIN = "domain"
    LABEL = "label"
    SITE = "site"
    TARGET = "target"
    WORD = "word"


def facts_of(name: str, intent: Intent) -> frozenset[tuple[FactKind, str]]:
    """Each of its facts once. Of an intent that can't be read, those of its name remain."""
    return frozenset(
        (kind, value) for kind, value in _facts(name, intent) if 0 < len(value) <= LONGEST and "\x00" not in value
    )


def _facts(name: str, intent: Intent) -> Iterator[tuple[FactKind, str]]:
    for word in _ends(name):
        yield FactKind.WORD, word
    for given in intent.dns_names:
        dns_name = given.lower()
        domain = registered_domain(dns_name)
        _, _, public_suffix = domain.partition(".")
        yield FactKind.DNS, dns_name
        yield FactKind.DOMAIN, domain
        for word in _ends(dns_name.removeprefix("*.")):
            if len(word) > len(public_suffix):
                yield FactKind.WORD, word
    for key, value in intent.labels.items():
        yield FactKind.LABEL, f"{key}={value}"
    for target in intent.targets:
        yield FactKind.SITE, target.place
        yield FactKind.TARGET, target.kind


def _ends(text: str) -> Iterator[str]:
    """The text from each of its parts on: a search for what a part begins with is one for what an end begins with."""
    yield text
    for place, sign in enumerate(text):
        if sign in ".-" and text[place + 1 :]:
            yield text[place + 1 :]
