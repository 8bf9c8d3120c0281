"""Bundles from the registry: fetched once for all destinations, opened for each delivery."""

import asyncio
from collections import OrderedDict
from typing import Final, Protocol

from certcore.bundles import Bundle, SealedBundle
from certcore.errors import PermanentError, TransientError
from certcore.sealing import RecipientKey
from certdelivery.model import Wanted

__all__ = ["BundleInvalidError", "BundleSource", "BundleUnavailableError", "Bundles"]

_KEPT: Final = 256


class BundleSource(Protocol):
    async def fetch_bundle(self, certificate_id: str, revision: int, variant: str) -> SealedBundle:
        """The bundle sealed to this service.

        Raises:
            TransientError, PermanentError: it can't be fetched now.
        """


class BundleUnavailableError(TransientError):
    """The registry doesn't serve the bundle to this service now."""


class BundleInvalidError(PermanentError):
    """The bundle is not what the order names, or can't be opened here."""


class Bundles:
    """Keeps bundles sealed, as fetched: other destinations of the same order and repairs need them again."""

    def __init__(self, *, source: BundleSource, key: RecipientKey) -> None:
        self._source = source
        self._key = key
        self._sealed: OrderedDict[str, SealedBundle] = OrderedDict()
        self._fetching: dict[str, asyncio.Task[SealedBundle]] = {}

    async def open(self, wanted: Wanted, bundle_sha256: str) -> Bundle:
        """The opened bundle of an order: hold it for one delivery and no longer.

        Raises:
            BundleUnavailableError: it can't be fetched now.
            BundleInvalidError: it isn't the ordered one, or can't be opened.
        """
        sealed = self._sealed.get(bundle_sha256) or await self._fetched(wanted, bundle_sha256)
        try:
            return sealed.open(self._key)
        except PermanentError as error:
            self._sealed.pop(bundle_sha256, None)
            raise BundleInvalidError(str(error)) from error

    async def _fetched(self, wanted: Wanted, bundle_sha256: str) -> SealedBundle:
        task = self._fetching.get(bundle_sha256)
        if task is None:
            task = asyncio.create_task(self._fetch(wanted, bundle_sha256))
            self._fetching[bundle_sha256] = task
            task.add_done_callback(lambda _: self._fetching.pop(bundle_sha256, None))
        # A cancelled delivery must not cancel the fetch for the other destinations.
        return await asyncio.shield(task)

    async def _fetch(self, wanted: Wanted, bundle_sha256: str) -> SealedBundle:
        asked = (wanted.certificate_id, wanted.revision, wanted.variant)
        try:
            sealed = await self._source.fetch_bundle(*asked)
        except (TransientError, PermanentError) as error:
            raise BundleUnavailableError(str(error)) from error
        if (sealed.certificate_id, sealed.revision, sealed.variant, sealed.sha256()) != (*asked, bundle_sha256):
            raise BundleInvalidError("the bundle is not the one that the order names")
        self._sealed[bundle_sha256] = sealed
        while len(self._sealed) > _KEPT:
            self._sealed.popitem(last=False)
        return sealed
