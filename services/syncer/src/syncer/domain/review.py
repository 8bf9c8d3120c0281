"""What a review reports of a site, and how much of it fits into one event."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from certcore.events import DiscoveredSecret

__all__ = ["fitting"]

_EVENT_BYTES: Final = 800 * 1024
"""The bus takes 1 MiB for body and headers together."""

_LAST: Final = datetime.max.replace(tzinfo=UTC)


def fitting(
    secrets: Iterable[DiscoveredSecret], *, limit_bytes: int = _EVENT_BYTES
) -> tuple[tuple[DiscoveredSecret, ...], int]:
    """The Secrets that fit into one event, in the order of their names, and how many were left out.

    Left out first are those that can't be read, then those that expire last.
    """
    by_expiry = sorted(secrets, key=lambda secret: (secret.not_after or _LAST, _name(secret)))
    kept: list[DiscoveredSecret] = []
    size = 0
    for number, secret in enumerate(by_expiry):
        size += len(secret.model_dump_json()) + 1
        if size > limit_bytes:
            return tuple(sorted(kept, key=_name)), len(by_expiry) - number
        kept.append(secret)
    return tuple(sorted(kept, key=_name)), 0


def _name(secret: DiscoveredSecret) -> tuple[str, str, str]:
    return (secret.cluster, secret.namespace, secret.secret)
