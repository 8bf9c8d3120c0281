"""What a CA's refusal for a limit says: which limit, whose, and until when.

What can't be read is about the domains that it names, and where it names none of the order's, about the whole
account. Let's Encrypt's words (boulder, ratelimits/limiter.go; older ones from reports of its users):

    too many certificates (50) already issued for "example.com" in the last 168h0m0s, retry after 2026-01-01 00:18:15
    UTC: see https://letsencrypt.org/docs/rate-limits/#new-certificates-per-registered-domain
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from certcore.ca_limits.asked import Charge, Mode
from certcore.ca_limits.limit import LimitKind
from issuer.domain.errors import AcmeProblemError

__all__ = ["Lesson", "meant", "read_refusal"]

_PAUSED: Final = timedelta(days=1)
_SHORTEST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(days=30)
_MOST: Final = 4000
"""Of a detail that is read: more is nothing that a person wrote."""

_RETRY: Final = re.compile(r"retry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)", re.IGNORECASE)
_QUOTED: Final = re.compile(r"for:? \"([^\"\s]{1,255})\"")
_BARE: Final = re.compile(r"issued for:? ((?:[\w-]+\.)+[\w-]+)")
_DNS_NAME: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
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
    """`kind` is None where the text doesn't tell; `names` are the domains or identifiers that it names. `retry_at` is
    None where nothing tells a time.
    """

    kind: LimitKind | None
    names: tuple[str, ...]
    retry_at: datetime | None


def read_refusal(problem: AcmeProblemError, *, now: datetime) -> Lesson:
    """Retry-After goes before the date in the text: it holds whatever this machine's clock says."""
    told = [problem.detail, *(f"{item.identifier or ''} {item.detail}" for item in problem.subproblems)]
    text = " ".join(told)[:_MOST]
    kind = next((kind for words, kind in _KINDS if words.search(text)), None)
    wait = problem.retry_after
    if wait is None:
        until = _date(text)
        wait = until - now if until is not None else _PAUSED if kind is LimitKind.FAILURES_IN_A_ROW else None
    retry_at = now + min(max(wait, _SHORTEST), _LONGEST) if wait is not None else None
    return Lesson(kind, _names(text, kind), retry_at)


def meant(looked: Iterable[Charge], lesson: Lesson) -> tuple[Charge, ...]:
    """Which of these limits a refusal is about: of its kind those that it names, else all of that kind. Where its
    kind isn't known, or was believed not to hold for this request, it is the domains that it names, else the account:
    it can't hold back the next request otherwise.
    """
    able = [charge for charge in looked if charge.mode is not Mode.COUNT]
    if lesson.kind is not None:
        of_kind = [charge for charge in able if charge.key.kind is lesson.kind]
        found = [charge for charge in of_kind if _is_named(charge.key.name, lesson.names)] or of_kind
        if found:
            return tuple(found)
    told = [charge for charge in able if charge.key.kind is LimitKind.TOLD_TO_WAIT]
    domains = [charge for charge in told if charge.key.name and _is_named(charge.key.name, lesson.names)]
    return tuple(domains or [charge for charge in told if not charge.key.name])


def _is_named(name: str, names: Iterable[str]) -> bool:
    return any(one == name or one.endswith(f".{name}") for one in names)


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
    if kind not in {None, LimitKind.CERTIFICATES_PER_DOMAIN, LimitKind.FAILURES}:
        return ()
    found = _QUOTED.search(text) or _BARE.search(text) if kind is not None else None
    if found is not None:
        return (found[1].lower().removeprefix("*."),)
    return tuple(dict.fromkeys(_DNS_NAME.findall(text.lower())))
