"""Signing requests of targets that hold their own key: requested from the driver, reported to the registry."""

from collections.abc import Mapping
from typing import Protocol

import structlog

from certcore.cloudevents import Envelope
from certcore.errors import CertbusError
from certcore.events import CsrOffered, CsrWanted
from certcore.names import is_label, subject_token
from certcore.targets import KeyHolder
from certdelivery.model import Destination
from certdelivery.reports import Reports
from certdelivery.target import AnyDriver, CsrOffering, TargetPort

__all__ = ["CsrOffers", "CsrSource"]

log = structlog.get_logger()


class CsrSource(Protocol):
    async def wanted_csrs(self) -> list[CsrWanted]:
        """The signing requests that this place's targets should offer.

        Raises:
            TransientError, PermanentError: the registry can't be reached now, or its answer can't be read.
        """


class CsrOffers:
    """An offer is reported once, and again where the registry requests it by an event or the target changed it."""

    def __init__(
        self,
        *,
        source: CsrSource,
        drivers: Mapping[str, AnyDriver],
        ports: Mapping[Destination, TargetPort],
        reports: Reports,
    ) -> None:
        self._source = source
        self._drivers = drivers
        self._reports = reports
        self._offering = {
            destination: port
            for destination, port in ports.items()
            if port.capabilities.key_holder is KeyHolder.TARGET and isinstance(port, CsrOffering)
        }
        self._offered: dict[tuple[str, str, int, str], str] = {}

    async def on_wanted(self, wanted: CsrWanted, _: Envelope) -> None:
        self._offered.pop(_key(wanted), None)
        await self._offer(wanted)

    async def reconcile(self) -> None:
        """Offer what is wanted and wasn't offered yet.

        Raises:
            TransientError, PermanentError: the registry can't be reached, or storing a report wasn't confirmed.
        """
        if not self._offering:
            return
        wanted = await self._source.wanted_csrs()
        self._offered = {_key(each): self._offered[_key(each)] for each in wanted if _key(each) in self._offered}
        for each in wanted:
            await self._offer(each)

    async def _offer(self, wanted: CsrWanted) -> None:
        port = self._port(wanted)
        if port is None:
            return
        try:
            csr_pem = await port.offer(wanted)
        except CertbusError as error:
            log.warning("csr_not_offered", certificate=wanted.name[:80], target=wanted.target.name, error=str(error))
            return
        if self._offered.get(_key(wanted)) == csr_pem:
            return
        await self._reports.csr(
            CsrOffered(
                certificate_id=wanted.certificate_id,
                target=wanted.target.name,
                revision=wanted.revision,
                variant=wanted.variant,
                csr_pem=csr_pem,
            )
        )
        self._offered[_key(wanted)] = csr_pem
        log.info("csr_offered", certificate=wanted.name, target=wanted.target.name, revision=wanted.revision)

    def _port(self, wanted: CsrWanted) -> CsrOffering | None:
        target = wanted.target
        facts = {"certificate": wanted.name[:80], "target": target.name[:80], "kind": target.kind[:80]}
        if not (subject_token(wanted.certificate_id) and is_label(wanted.name) and is_label(target.name)):
            log.error("csr_refused", **facts, problem="certificate or target have no valid id or name")
            return None
        driver = self._drivers.get(target.kind)
        configured = [destination.name for destination in self._offering if destination.kind == target.kind]
        found = driver.destinations(target, configured).found if driver is not None and configured else ()
        if not found:
            log.warning("csr_refused", **facts, problem="no destination of this target makes signing requests")
            return None
        # Where it has several destinations, they share one key, and the first makes it.
        return self._offering[Destination(target.kind, found[0])]


def _key(wanted: CsrWanted) -> tuple[str, str, int, str]:
    return (wanted.certificate_id, wanted.target.name, wanted.revision, wanted.variant)
