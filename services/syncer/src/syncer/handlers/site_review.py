"""Tells the registry which TLS Secrets there are in the site's clusters, whoever keeps them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from certcore.errors import CertbusError
from certcore.events import DiscoveredSecret
from syncer.adapters.reports import Reports
from syncer.domain.review import fitting

__all__ = ["Lister", "SiteReview"]

log = structlog.get_logger()

Lister = Callable[[], Awaitable[list[DiscoveredSecret]]]
"""Lists the Secrets of one cluster; raises a CertbusError where that can't be done."""


class SiteReview:
    def __init__(self, *, listers: Mapping[str, Lister], reports: Reports) -> None:
        self._listers = listers
        self._reports = reports

    async def review(self) -> None:
        """List all clusters at once; one that can't be listed is named, and the others are told.

        Raises:
            TransientError: the report isn't known to be stored.
        """
        found = dict(zip(self._listers, await asyncio.gather(*map(self._list, self._listers)), strict=True))
        listed = [secret for secrets in found.values() if secrets is not None for secret in secrets]
        secrets, left_out = fitting(listed)
        if left_out:
            log.warning("review_truncated", told=len(secrets), left_out=left_out)
        await self._reports.reviewed(secrets, tuple(name for name, secrets in found.items() if secrets is None))

    async def _list(self, cluster: str) -> list[DiscoveredSecret] | None:
        try:
            return await self._listers[cluster]()
        except CertbusError as error:
            log.warning("cluster_not_listed", cluster=cluster, error=str(error))
            return None
