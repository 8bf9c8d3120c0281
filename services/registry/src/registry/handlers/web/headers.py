"""What every answer of the page carries: nothing is loaded from elsewhere, kept, or told to another site."""

from typing import Final

__all__ = ["page_headers"]

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'"
    "; frame-ancestors 'none'"
)


def page_headers() -> dict[str, str]:
    return {
        "content-security-policy": _POLICY,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
