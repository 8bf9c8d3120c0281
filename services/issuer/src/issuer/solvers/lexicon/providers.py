"""The only place that imports dns-lexicon.

Its client isn't used: to guess a name's zone, which our settings name, it asks the internet for the list of public
suffixes and keeps that in the user's home.
"""

import argparse
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lexicon.interfaces import Provider

__all__ = ["change", "known_options", "say_nothing"]

_EXTRA: Final = "needs dns-lexicon, which isn't installed here: install certbus-issuer[lexicon]"


def known_options(provider: str) -> frozenset[str]:
    """The options of a provider.

    Raises:
        ValueError: dns-lexicon isn't installed, doesn't know it, or lacks what it needs.
    """
    parser = argparse.ArgumentParser(add_help=False)
    _provider(provider).configure_parser(parser)
    return frozenset(vars(parser.parse_args([])))


def change(
    action: str, name: str, value: str, *, provider: str, zone: str, ttl: int, options: Mapping[str, str]
) -> bool:
    """Add or remove one TXT value, and say whether the provider did so. It blocks, and raises whatever it likes."""
    from lexicon.config import ConfigResolver  # noqa: PLC0415 # an extra

    config = ConfigResolver()  # type: ignore[no-untyped-call] # it has no annotations there
    config.with_dict({"provider_name": provider, "domain": zone, "ttl": ttl, provider: dict(options)})
    service = _provider(provider)(config)
    try:
        service.authenticate()
        if action == "add":
            return service.create_record("TXT", name, value)
        return service.delete_record(None, "TXT", name, value)
    finally:
        service.cleanup()


def say_nothing() -> None:
    """Providers log what they send, and what they use logs URLs: there are keys in both."""
    for logger in ("lexicon", "urllib3", "tldextract"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)


def _provider(name: str) -> "type[Provider]":
    try:
        from lexicon._private.discovery import find_providers, load_provider_module  # noqa: PLC0415 # an extra
    except ImportError:
        raise ValueError(_EXTRA) from None
    available = find_providers()
    if name not in available:
        raise ValueError(f"dns-lexicon has no provider {name}")
    if not available[name]:
        raise ValueError(f"{name} needs more than dns-lexicon brings: install dns-lexicon[{name}]")
    found: type[Provider] = load_provider_module(name).Provider
    return found
