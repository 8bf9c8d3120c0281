"""Reports the TLS Secrets of the site's clusters to the registry, whichever program manages them."""

import asyncio
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import structlog

from certcore.errors import CertbusError, TransientError
from certcore.events import DiscoveredSecret
from certcore.review import SiteReviewUpdate
from certdelivery.reports import Reports
from certkit.registry_client import ReviewAnswer
from syncer.domain.review import Review

__all__ = ["Listing", "ReviewReader", "SiteReview"]

log = structlog.get_logger()


@runtime_checkable
class Listing(Protocol):
    """In addition to TargetPort, for destinations that also hold certificates of other programs."""

    async def discovered(self) -> list[DiscoveredSecret]:
        """Every TLS Secret that is there.

        Raises:
            CertbusError: it can't be listed now.
        """


class ReviewReader(Protocol):
    """As `certkit.registry_client.RegistryClient`."""

    async def update_review(self, site: str, update: SiteReviewUpdate) -> ReviewAnswer:
        """Tell what changed, or a part of the whole.

        Raises:
            TransientError: the registry can't be reached or failed.
            PermanentError: the registry refuses it.
        """


class SiteReview:
    """Tells what changed since the review that the registry took last, and all of it where it has another."""

    def __init__(
        self, *, site: str, clusters: Mapping[str, Listing], registry: ReviewReader, reports: Reports
    ) -> None:
        self._site = site
        self._clusters = clusters
        self._registry = registry
        self._reports = reports
        self._listed: dict[str, list[DiscoveredSecret]] = {}
        self._taken: Review | None = None

    async def review(self) -> None:
        """List all clusters at once. One that can't be listed is named; its Secrets stay as they were listed last.

        Raises:
            TransientError: the report isn't known to be stored.
            PermanentError: the registry refuses it.
        """
        found = dict(zip(self._clusters, await asyncio.gather(*map(self._list, self._clusters)), strict=True))
        self._listed |= {cluster: secrets for cluster, secrets in found.items() if secrets is not None}
        listed = [secret for secrets in self._listed.values() for secret in secrets]
        unreachable = [cluster for cluster, secrets in found.items() if secrets is None]
        await self._tell(await asyncio.to_thread(Review.of, listed, unreachable))

    async def _tell(self, review: Review) -> None:
        # After a start, the registry may have this very review.
        base, self._taken = self._taken or review, None
        change = review.since(base)
        answer = await self._update(change) if change is not None else ReviewAnswer.OTHER_BASE
        if answer is ReviewAnswer.OTHER_BASE:
            log.info("review_told_whole", secrets=len(review.secrets))
            for part in review.whole():
                answer = await self._update(part)
                if answer is not ReviewAnswer.TAKEN:
                    break
        match answer:
            case ReviewAnswer.TAKEN:
                self._taken = review
            case ReviewAnswer.NOT_KNOWN:
                await self._publish(review)
            case ReviewAnswer.OTHER_BASE:
                raise TransientError("the registry refused the whole review: it was told another meanwhile")

    async def _update(self, update: SiteReviewUpdate) -> ReviewAnswer:
        return await self._registry.update_review(self._site, update)

    async def _publish(self, review: Review) -> None:
        """For a registry of the version before, which hears a review as an event."""
        if not review.fits_an_event:
            log.error("review_too_large_for_older_registry", secrets=len(review.secrets))
            return
        log.warning("review_published_for_older_registry", secrets=len(review.secrets))
        await self._reports.reviewed(tuple(review.secrets.values()), review.unreachable)

    async def _list(self, cluster: str) -> list[DiscoveredSecret] | None:
        try:
            return await self._clusters[cluster].discovered()
        except CertbusError as error:
            log.warning("cluster_not_listed", cluster=cluster, error=str(error))
            return None
