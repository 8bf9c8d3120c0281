"""A site's review as the stand-in of the registry keeps it."""

from dataclasses import dataclass, field

from certcore.events import DiscoveredSecret
from certcore.review import SiteReviewUpdate

__all__ = ["Review"]


@dataclass
class Review:
    """The TLS Secrets of a site by cluster, namespace and name. `digest` is None while only a part has come."""

    digest: str | None = None
    secrets: dict[tuple[str, str, str], DiscoveredSecret] = field(default_factory=dict)
    unreachable: tuple[str, ...] = ()
    parts: dict[str, set[tuple[str, str, str]]] = field(default_factory=dict)

    def update(self, update: SiteReviewUpdate) -> bool:
        """Whether it builds on what is here."""
        if update.base is not None and update.base != self.digest:
            return False
        changed = {(item.cluster, item.namespace, item.secret): item for item in update.changed}
        self.secrets |= changed
        if update.base is None:
            named = self.parts.setdefault(update.digest, set())
            named |= changed.keys()
            if update.more:
                self.digest = None
                return True
            self.secrets = {name: item for name, item in self.secrets.items() if name in named}
        for item in update.gone:
            self.secrets.pop((item.cluster, item.namespace, item.secret), None)
        self.digest, self.unreachable = update.digest, update.unreachable
        return True
