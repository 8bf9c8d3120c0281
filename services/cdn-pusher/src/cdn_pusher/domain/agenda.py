"""What one load balancer should hold, and when each certificate is looked at next."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from certcore.backoff import delay_after
from certcore.events import DeploymentOrdered

__all__ = ["Agenda", "Item", "Key", "News"]

Key = tuple[str, str]
"""Certificate id and target name."""


class News(StrEnum):
    """What an order changed."""

    NEW = "new"
    CHANGED = "changed"
    KNOWN = "known"
    OLDER = "older"


@dataclass(frozen=True)
class Item:
    """`reported_revision` was told to the registry as delivered; `digest` is the PEM's that was written for it.

    `delivered_revision` was held here at some time of this process, so that losing it is a repair.
    """

    order: DeploymentOrdered
    target: str
    due: datetime
    ordered_at: datetime
    traceparent: str | None = None
    tries: int = 0
    reported_revision: int | None = None
    delivered_revision: int | None = None
    digest: str | None = None

    @property
    def key(self) -> Key:
        return (self.order.certificate_id, self.target)


class Agenda:
    """Newest revision wins, older orders are ignored: an order only says what should be there."""

    def __init__(self) -> None:
        self._items: dict[Key, Item] = {}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Key) -> Item | None:
        return self._items.get(key)

    def want(
        self,
        order: DeploymentOrdered,
        target: str,
        *,
        now: datetime,
        traceparent: str | None = None,
        told_again: bool = False,
    ) -> News:
        """Take an order in. `told_again`: the registry asks, so it is told even what it was told before."""
        known = self._items.get((order.certificate_id, target))
        traceparent = traceparent or order.traceparent
        if known is None:
            item = Item(order, target, due=now, ordered_at=now, traceparent=traceparent)
            self._items[item.key] = item
            return News.NEW
        if order.revision < known.order.revision:
            return News.OLDER
        if _facts(order) == _facts(known.order) and not told_again:
            self._items[known.key] = replace(known, ordered_at=now)
            return News.KNOWN
        newer = order.revision > known.order.revision
        self._items[known.key] = replace(
            known,
            order=order,
            due=now,
            ordered_at=now,
            traceparent=traceparent,
            tries=0,
            reported_revision=None,
            digest=None if newer else known.digest,
        )
        return News.CHANGED

    def keep_only(self, keys: Collection[Key], *, ordered_before: datetime) -> list[Item]:
        """Forget what is no longer ordered, unless it was ordered since; what was delivered stays where it is."""
        gone = [item for key, item in self._items.items() if key not in keys and item.ordered_at < ordered_before]
        for item in gone:
            del self._items[item.key]
        return gone

    def due(self, *, now: datetime) -> list[Item]:
        return sorted((item for item in self._items.values() if item.due <= now), key=lambda item: item.due)

    def next_due(self) -> datetime | None:
        return min((item.due for item in self._items.values()), default=None)

    def held(self, item: Item, *, digest: str | None, until: datetime) -> None:
        """Record that the target holds the order's revision; it is looked at again at `until`."""
        if present := self._same_order(item):
            revision = item.order.revision
            self._items[item.key] = replace(present, delivered_revision=revision, digest=digest, tries=0, due=until)

    def reported(self, item: Item) -> None:
        if present := self._same_order(item):
            self._items[item.key] = replace(present, reported_revision=item.order.revision)

    def failed(self, item: Item, *, now: datetime, jitter: float) -> datetime:
        """Record a failed try, after which a success is told anew, and return when the next one is due."""
        due = now + delay_after(item.tries + 1, jitter=jitter)
        if present := self._same_order(item):
            self._items[item.key] = replace(present, tries=item.tries + 1, due=due, reported_revision=None)
        return due

    def _same_order(self, item: Item) -> Item | None:
        # What was ordered while the work went on isn't done by it.
        present = self._items.get(item.key)
        return present if present is not None and present.order == item.order else None


def _facts(order: DeploymentOrdered) -> DeploymentOrdered:
    return order.model_copy(update={"traceparent": None})
