"""Reviews of a site's TLS Secrets: whole, or what changed since the one that is stored."""

import structlog

from certcore.clock import Clock
from certcore.events import SiteReviewed
from certcore.review import SiteReview, SiteReviewUpdate
from registry.adapters.store import Store, Transaction
from registry.adapters.store.reviews import Place
from registry.domain.errors import NotFoundError
from registry.domain.review import StoredReview, decide, nameable
from registry.handlers.views import site_review

__all__ = ["Reviews"]

log = structlog.get_logger()


class Reviews:
    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def update(self, site: str, update: SiteReviewUpdate) -> None:
        """Store what changed, or a part of the whole.

        Raises:
            NotFoundError: there is no such site.
            ConflictError: it builds on another review than the stored one.
        """
        for item in update.unreadable:
            log.warning("item_unreadable", source=f"review of {site}", item=item.item, problem=item.problem)

        def work(transaction: Transaction) -> None:
            change = decide(_stored(transaction, site), update, now=self._clock())
            transaction.reviews.put(site, change.changed, review=update.digest)
            transaction.reviews.drop(site, change.gone)
            if change.completes:
                transaction.reviews.drop_others(site, review=update.digest)
            transaction.reviews.save(site, change.review)

        await self._store.write(work)

    def replace(self, transaction: Transaction, event: SiteReviewed) -> None:
        """Store the whole review that an older syncer reported by an event."""
        if transaction.reviews.get(event.site) is None:
            log.warning("review_of_unknown_site", site=event.site)
            return
        transaction.reviews.drop_others(event.site, review=None)
        transaction.reviews.put(event.site, tuple(nameable(event.secrets)), review="")
        transaction.reviews.save(event.site, StoredReview(None, self._clock(), event.unreachable))

    async def page(self, site: str, *, after: Place | None, limit: int) -> tuple[SiteReview, Place | None]:
        """The Secrets of a site, soonest expiry first, those after a place; and the place to continue after.

        Raises:
            NotFoundError: there is no such site.
        """

        def work(transaction: Transaction) -> tuple[SiteReview, Place | None]:
            stored = _stored(transaction, site)
            secrets, further = transaction.reviews.page(site, after=after, limit=limit)
            ids = {secret.certificate_id for secret in secrets if secret.certificate_id is not None}
            names = transaction.certificates.names(ids)
            return site_review(site, stored, secrets, names, self._clock()), further

        return await self._store.read(work)


def _stored(transaction: Transaction, site: str) -> StoredReview:
    found = transaction.reviews.get(site)
    if found is None:
        raise NotFoundError(f"there is no site {site}")
    return found
