"""The escrow's rounds: ask the registry what is to be sealed again, and seal it."""

import asyncio

import structlog
from prometheus_client import CollectorRegistry, Counter

from certcore.bundles import ResealWanted
from certcore.errors import InspectionError, PermanentError, SealingError
from certcore.sealing import RecipientKey
from certkit.readiness import Finding
from certkit.registry_client import RegistryClient
from issuer.domain.resealing import reseal

__all__ = ["Resealing"]

log = structlog.get_logger()


class Resealing:
    def __init__(self, *, key: RecipientKey, registry: RegistryClient, metrics: CollectorRegistry) -> None:
        self._key = key
        self._registry = registry
        self._failing: tuple[str, ...] = ()
        self._was_read = False
        self._done = Counter("certbus_escrow_resealed", "Copies of keys that were sealed again.", registry=metrics)

    async def round(self) -> None:
        """
        Raises:
            TransientError: the registry doesn't answer.
            PermanentError: the registry's answer can't be read.
        """
        listed = await self._registry.reseals()
        self._was_read = True
        failing = [error for item in listed.items if (error := await self._sealed(item)) is not None]
        self._failing = tuple(failing)

    def not_ready(self) -> str | None:
        return None if self._was_read else "what is to be sealed again was not read yet"

    def findings(self) -> list[Finding]:
        """A check: what can't be sealed again doesn't hold the others up."""
        problem = (
            f"{len(self._failing)} can't be sealed again, one of them: {self._failing[0]}" if self._failing else None
        )
        return [Finding(check="reseals", problem=problem)]

    async def _sealed(self, wanted: ResealWanted) -> str | None:
        """Seal one again; why that can't be done, None where it was."""
        about = {
            "certificate_id": wanted.certificate_id,
            "revision": wanted.revision,
            "recipients": [recipient.name for recipient in wanted.recipients],
        }
        try:
            # Off the event loop: a page may hold hundreds.
            keys = await asyncio.to_thread(reseal, wanted, self._key)
            await self._registry.store_resealed(wanted, keys)
        except (SealingError, InspectionError, PermanentError) as error:
            log.warning("reseal_failed", **about, error=str(error))
            return str(error)
        self._done.inc(len(keys))
        log.info("key_resealed", **about)
        return None
