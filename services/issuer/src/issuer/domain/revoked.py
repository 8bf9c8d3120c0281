"""That a leaf was revoked, and why (RFC 5280 §5.3.1)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

__all__ = ["Revocation", "RevocationReason", "reason_named"]


class RevocationReason(StrEnum):
    """Those that a subscriber may give; the others are a CA's own."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"

    @property
    def code(self) -> int:
        return _CODES[self]


_CODES: Final = {
    RevocationReason.UNSPECIFIED: 0,
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.AFFILIATION_CHANGED: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION_OF_OPERATION: 5,
}


@dataclass(frozen=True)
class Revocation:
    """`at` is when the CA first said so to us."""

    at: datetime
    reason: RevocationReason

    @property
    def told(self) -> str:
        return f"it was revoked at {self.at:%Y-%m-%dT%H:%MZ} ({self.reason}): renew the certificate"


def reason_named(name: str) -> RevocationReason:
    """
    Raises:
        ValueError: it is none that may be given; the message lists those.
    """
    try:
        return RevocationReason(name)
    except ValueError:
        known = ", ".join(f"{reason} ({reason.code})" for reason in RevocationReason)
        raise ValueError(f"{name[:60]!r} is no reason that may be given, but: {known}") from None
