"""When a CA would like a certificate renewed (RFC 9773 §4.2)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["RenewalInfo"]


@dataclass(frozen=True)
class RenewalInfo:
    """`retry_after` is when to ask again; None where the CA doesn't say."""

    start: datetime
    end: datetime
    explanation_url: str | None = None
    retry_after: timedelta | None = None
