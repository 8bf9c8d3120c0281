"""Reports the TLS Secrets of the site's clusters to the registry, whichever program manages them."""

import asyncio
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import structlog

from certcore.errors import CertbusError
from certcore.events import DiscoveredSecret
from certdelivery.reports import Reports
from syncer.domain.review import fitting

__all__ = ["Listing", "SiteReview"]

log = structlog.get_logger()


@runtime_checkable
class Listing(Protocol):
    """In addition to TargetPort, for destinations that also hold certificates of other programs."""

    async def discovered(self) -> list[DiscoveredSecret]:
        """Every TLS Secret that is there.

        Raises:
            CertbusError: it can't be listed now.
        """


class SiteReview:
    def __init__(self, *, clusters: Mapping[str, Listing], reports: Reports) -> None:
        self._clusters = clusters
        self._reports = reports

    async def review(self) -> None:
        """List all clusters at once; one that can't be listed is named, and the others are reported.

        Raises:
            TransientError: the report isn't known to be stored.
        """
        found = dict(zip(self._clusters, await asyncio.gather(*map(self._list, self._clusters)), strict=True))
        listed = [secret for secrets in found.values() if secrets is not None for secret in secrets]
        secrets, left_out = fitting(listed)
        if left_out:
            log.warning("review_truncated", reported=len(secrets), left_out=left_out)
        await self._reports.reviewed(secrets, tuple(name for name, secrets in found.items() if secrets is None))

    async def _list(self, cluster: str) -> list[DiscoveredSecret] | None:
        try:
            return await self._clusters[cluster].discovered()
        except CertbusError as error:
            log.warning("cluster_not_listed", cluster=cluster, error=str(error))
            return None
