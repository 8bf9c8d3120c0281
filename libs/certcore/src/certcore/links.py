"""Addresses of web pages that somebody outside wrote, and that people follow."""

from typing import Final

__all__ = ["page_link"]

_LONGEST: Final = 500


def page_link(url: str | None) -> str | None:
    """The address, or None where it is none of a web page: it may hold anything."""
    if url is None or len(url) > _LONGEST or not url.startswith(("https://", "http://")):
        return None
    return url if url.isascii() and url.isprintable() and " " not in url else None
