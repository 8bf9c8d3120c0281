"""Bundles from the registry: fetched once for all targets of an order, opened by whoever delivers."""

import asyncio
from collections import OrderedDict
from typing import Final

from certcore.bundles import Bundle, SealedBundle
from certcore.errors import PermanentError, TransientError
from certcore.events import DeploymentOrdered
from certcore.sealing import RecipientKey
from certkit.registry_client import RegistryClient

__all__ = ["BundleInvalidError", "BundleUnavailableError", "Bundles"]

_KEPT: Final = 256


class BundleUnavailableError(TransientError):
    """The registry doesn't serve the bundle to this site now."""


class BundleInvalidError(PermanentError):
    """The bundle is not what the order names, or can't be opened by this site."""


class Bundles:
    """Keeps what it fetched as it came, sealed: another place of the same order and a repair ask for it again."""

    def __init__(self, *, registry: RegistryClient, key: RecipientKey) -> None:
        self._registry = registry
        self._key = key
        self._sealed: OrderedDict[str, SealedBundle] = OrderedDict()
        self._fetching: dict[str, asyncio.Task[SealedBundle]] = {}

    async def open(self, order: DeploymentOrdered) -> Bundle:
        """The opened bundle of an order: hold it for one delivery and no longer.

        Raises:
            BundleUnavailableError, BundleInvalidError: as their names say.
        """
        sealed = self._sealed.get(order.bundle_sha256) or await self._fetched(order)
        try:
            bundle = sealed.open(self._key)
        except PermanentError as error:
            self._sealed.pop(order.bundle_sha256, None)
            raise BundleInvalidError(str(error)) from error
        if bundle.leaf.fingerprint_sha256 != order.fingerprint_sha256:
            raise BundleInvalidError("the bundle holds another certificate than the order names")
        return bundle

    async def _fetched(self, order: DeploymentOrdered) -> SealedBundle:
        task = self._fetching.get(order.bundle_sha256)
        if task is None:
            task = asyncio.create_task(self._fetch(order))
            self._fetching[order.bundle_sha256] = task
            task.add_done_callback(lambda _: self._fetching.pop(order.bundle_sha256, None))
        # One place that gives up doesn't take the bundle from the others.
        return await asyncio.shield(task)

    async def _fetch(self, order: DeploymentOrdered) -> SealedBundle:
        try:
            sealed = await self._registry.fetch_bundle(order.certificate_id, order.revision)
        except (TransientError, PermanentError) as error:
            raise BundleUnavailableError(str(error)) from error
        found = (sealed.certificate_id, sealed.revision, sealed.sha256())
        if found != (order.certificate_id, order.revision, order.bundle_sha256):
            raise BundleInvalidError("the bundle is not the one that the order names")
        self._sealed[order.bundle_sha256] = sealed
        while len(self._sealed) > _KEPT:
            self._sealed.popitem(last=False)
        return sealed
