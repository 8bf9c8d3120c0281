"""What a CA's refusal for a limit says: which limit, whose, and until when.

What can't be read is about the whole account. Let's Encrypt's words (boulder, ratelimits/limiter.go; older ones from
reports of its users):

    too many certificates (50) already issued for "example.com" in the last 168h0m0s, retry after 2026-01-01 00:18:15
    UTC: see https://letsencrypt.org/docs/rate-limits/#new-certificates-per-registered-domain
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from issuer.domain.budget import LimitKind

__all__ = ["Lesson", "read_refusal"]

_UNTOLD: Final = timedelta(minutes=10)
_PAUSED: Final = timedelta(days=1)
_SHORTEST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(days=30)
_MOST: Final = 4000
"""Of a detail that is read: more is nothing that a person wrote."""

_RETRY: Final = re.compile(r"retry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)", re.IGNORECASE)
_QUOTED: Final = re.compile(r"for:? \"([^\"\s]{1,255})\"")
_BARE: Final = re.compile(r"issued for:? ((?:[\w-]+\.)+[\w-]+)")
_PAUSED_NAMES: Final = re.compile(r"certificates for (.{1,2000}?) and possibly others", re.DOTALL)
# In this order: the later ones are found in the texts of the earlier ones.
_KINDS: Final = (
    (re.compile(r"prevented from requesting certificates|unpause", re.IGNORECASE), LimitKind.FAILURES_IN_A_ROW),
    (re.compile(r"new registrations", re.IGNORECASE), LimitKind.NEW_ACCOUNTS),
    (
        re.compile(r"exact set|duplicate cert|#new-certificates-per-exact", re.IGNORECASE),
        LimitKind.CERTIFICATES_PER_SET,
    ),
    (re.compile(r"failed authorizations|failed validations", re.IGNORECASE), LimitKind.FAILURES),
    (re.compile(r"new orders", re.IGNORECASE), LimitKind.NEW_ORDERS),
    (re.compile(r"too many certificates", re.IGNORECASE), LimitKind.CERTIFICATES_PER_DOMAIN),
)


@dataclass(frozen=True)
class Lesson:
    """`kind` is None where the text doesn't tell; `names` are the domains or identifiers that it names."""

    kind: LimitKind | None
    names: tuple[str, ...]
    retry_at: datetime


def read_refusal(detail: str, *, retry_after: timedelta | None, now: datetime) -> Lesson:
    """Retry-After goes before the date in the text: it holds whatever this machine's clock says."""
    text = detail[:_MOST]
    kind = next((kind for words, kind in _KINDS if words.search(text)), None)
    if retry_after is None:
        until = _date(text)
        untold = _PAUSED if kind is LimitKind.FAILURES_IN_A_ROW else _UNTOLD
        retry_after = untold if until is None else until - now
    return Lesson(kind, _names(text, kind), now + min(max(retry_after, _SHORTEST), _LONGEST))


def _date(text: str) -> datetime | None:
    found = _RETRY.search(text)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC)
    except ValueError:
        return None


def _names(text: str, kind: LimitKind | None) -> tuple[str, ...]:
    if kind is LimitKind.FAILURES_IN_A_ROW:
        listed = _PAUSED_NAMES.search(text)
        return tuple(name.strip().lower() for name in listed[1].split(",")) if listed else ()
    if kind in {LimitKind.CERTIFICATES_PER_DOMAIN, LimitKind.FAILURES}:
        found = _QUOTED.search(text) or _BARE.search(text)
        return (found[1].lower().removeprefix("*."),) if found else ()
    return ()
