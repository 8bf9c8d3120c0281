"""How much a caller may ask for: a bucket of tokens for each kind of request, refilled steadily."""

from dataclasses import dataclass
from enum import StrEnum

from certcore.tokens import TokenKind

__all__ = ["Bucket", "Kind", "Rate", "kind_of", "take"]


class Kind(StrEnum):
    """Of requests, each with a budget of its own."""

    READ = "read"
    LIST = "list"
    """What costs most to read: lists, exports, and following events."""
    WRITE = "write"
    SERVICE = "service"
    """All that services ask for: never out of a person's budget."""
    STRANGER = "stranger"
    """Logins that fail, by the address that they come from."""


@dataclass(frozen=True)
class Rate:
    """So many a second, and at most so many at once."""

    per_s: float
    burst: float


@dataclass(frozen=True)
class Bucket:
    """What was left of it then, by a clock that only goes forward."""

    left: float
    at_s: float


def take(bucket: Bucket | None, rate: Rate, *, now_s: float) -> tuple[Bucket, float]:
    """The bucket after one request, and how long that one has to wait: 0 where it may be answered. Who has to wait
    takes nothing.
    """
    left = rate.burst
    if bucket is not None:
        left = min(rate.burst, bucket.left + max(0.0, now_s - bucket.at_s) * rate.per_s)
    if left >= 1:
        return Bucket(left - 1, now_s), 0.0
    return Bucket(left, now_s), (1 - left) / rate.per_s


def kind_of(kind: TokenKind, *, method: str, route: str) -> Kind:
    """`route` is the path's template: a GET of what has no name in it reads a list."""
    if kind is TokenKind.SERVICE:
        return Kind.SERVICE
    if method != "GET":
        return Kind.WRITE
    return Kind.READ if "{" in route else Kind.LIST
