"""Retry-After (RFC 9110 §10.2.3), in seconds or as an HTTP date, whatever time zone this machine is in."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

__all__ = ["parse_http_date", "parse_retry_after"]

_LONGEST = timedelta(days=30)


def parse_http_date(value: str | None) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    # An HTTP date is always in GMT, also where the zone is missing.
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def parse_retry_after(value: str | None, *, now: datetime | None) -> timedelta | None:
    """How long to wait, from nothing up to 30 days; None where the header says nothing that can be read.

    `now` is the time of the answer by the sender's own clock (its Date header), so that skew doesn't matter.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=min(int(text[:12]), 10**8)), _LONGEST)
    until = parse_http_date(text)
    if until is None or now is None:
        return None
    return min(max(until - now, timedelta()), _LONGEST)
