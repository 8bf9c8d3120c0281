"""The review of a site's TLS Secrets: what an update changes of the one that is stored."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from certcore.events import DiscoveredSecret
from certcore.review import SiteReviewUpdate
from registry.domain.errors import ConflictError

__all__ = ["ReviewChange", "SecretKey", "StoredReview", "decide", "key_of", "nameable"]

_LONGEST: Final = 253
"""Of a name in a cluster (RFC 1123 subdomain)."""

SecretKey = tuple[str, str, str]
"""Cluster, namespace and name."""


@dataclass(frozen=True)
class StoredReview:
    """`digest` is None while only a part of a review is stored, or where an older syncer reported it."""

    digest: str | None
    reviewed_at: datetime | None
    unreachable: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReviewChange:
    """Store `changed`, drop `gone`; where it `completes` a whole, drop also what the whole didn't name."""

    review: StoredReview
    changed: tuple[DiscoveredSecret, ...]
    gone: tuple[SecretKey, ...]
    completes: bool


def decide(stored: StoredReview, update: SiteReviewUpdate, *, now: datetime) -> ReviewChange:
    """What an update changes.

    Raises:
        ConflictError: it builds on another review than the stored one.
    """
    if update.base is not None and update.base != stored.digest:
        raise ConflictError(f"the review here is {stored.digest or 'not known by a digest'}: send all of it")
    changed = tuple(nameable(update.changed))
    if update.base is None and update.more:
        return ReviewChange(replace(stored, digest=None), changed, (), completes=False)
    review = StoredReview(update.digest, now, update.unreachable)
    gone = ((name.cluster, name.namespace, name.secret) for name in update.gone if update.base is not None)
    known = tuple(key for key in gone if all(map(_is_name, key)))
    return ReviewChange(review, changed, known, completes=update.base is None)


def nameable(secrets: Iterable[DiscoveredSecret]) -> Iterable[DiscoveredSecret]:
    """Those with names that a cluster could have given them."""
    return (secret for secret in secrets if all(map(_is_name, key_of(secret))))


def key_of(secret: DiscoveredSecret) -> SecretKey:
    return (secret.cluster, secret.namespace, secret.secret)


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST and name.isascii() and name.isprintable()
