"""Issuer, syncers and monitor as the registry meets them: what they store and report, without doing it."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import nats
from nats.aio.client import Client

from certcore.api import CertificateView, TargetView
from certcore.bundles import IssuedBundle, SealedKey
from certcore.cloudevents import headers_of
from certcore.events import (
    AddressObserved,
    DeliverySucceeded,
    EndpointObserved,
    Event,
    RevisionIssued,
    RevisionStarted,
    ServingVerdict,
)
from certcore.identities import HUB
from certcore.plugins import load_target_kinds
from certkit.registry_client import RegistryClient
from certkit.settings import RegistrySettings
from tests.authority import Authority
from tests.reports import publish_report

__all__ = ["ReportingServices"]

_DEADLINE_S: Final = 30.0


class ReportingServices:
    """Use it as an async context manager. `issuer_token_file` is the token by which bundles are stored, `see` shows
    a certificate as it is now.
    """

    def __init__(
        self,
        *,
        nats_url: str,
        registry_url: str,
        issuer_token_file: Path,
        see: Callable[[str], CertificateView],
    ) -> None:
        self._nats_url = nats_url
        self._see = see
        self._kinds = load_target_kinds()
        self._settings = RegistrySettings(url=registry_url, token_file=issuer_token_file, plain_text=True)
        self._authority = Authority()
        self._bus: Client | None = None

    async def __aenter__(self) -> Self:
        self._bus = await nats.connect(self._nats_url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._bus is not None
        await self._bus.close()

    async def report(self, event: Event, *, place: str, service: str, about: str) -> None:
        assert self._bus is not None
        event_id = str(uuid.uuid4())
        source = f"certbus/{place}/{service}"
        headers = headers_of(event, event_id=event_id, source=source, time=datetime.now(UTC), about=about)
        js = self._bus.jetstream()
        await publish_report(js, event, place=place, service=service, about=about, headers=headers)

    async def issue(self, certificate: CertificateView, revision: int = 1) -> str:
        """Issue a revision and return its fingerprint."""
        issued = self._authority.issue(*certificate.dns_names, not_after=datetime.now(UTC) + timedelta(days=47))
        await self._of_issuer(RevisionStarted(certificate_id=certificate.id, revision=revision, ca="ca-one"))
        recipients = sorted({f"{target.site}-{self._kinds[target.kind].service}" for target in certificate.targets})
        # Nobody opens these: the registry can't, and no recipient takes part.
        keys = tuple(SealedKey.of(recipient, b"sealed", None) for recipient in recipients)
        async with RegistryClient(self._settings) as registry:
            await registry.store_bundle(certificate.id, revision, IssuedBundle(chain_pem=issued.chain_pem, keys=keys))
        await self._of_issuer(
            RevisionIssued(
                certificate_id=certificate.id,
                revision=revision,
                fingerprint_sha256=issued.fingerprint,
                ca="ca-one",
                validation_method="dns-01",
                ari_id=None,
            )
        )
        return issued.fingerprint

    async def _of_issuer(self, event: RevisionStarted | RevisionIssued) -> None:
        await self.report(event, place=HUB, service="issuer", about=event.certificate_id)

    async def deliver(self, certificate: CertificateView, target: str, fingerprint: str, revision: int = 1) -> None:
        placed = await self._ordered(certificate.name, target, revision)
        event = DeliverySucceeded(
            certificate_id=certificate.id,
            target=target,
            generation=placed.generation,
            revision=revision,
            fingerprint_sha256=fingerprint,
        )
        service = self._kinds[placed.kind].service
        await self.report(event, place=placed.site, service=service, about=certificate.id)

    async def _ordered(self, name: str, target: str, revision: int) -> TargetView:
        """The target once the revision is ordered there, which is when it has its generation."""
        async with asyncio.timeout(_DEADLINE_S):
            while True:
                placed = next(found for found in self._see(name).targets if found.name == target)
                if placed.wanted_revision == revision:
                    return placed
                await asyncio.sleep(0.02)

    async def observe(self, certificate: CertificateView, url: str, fingerprint: str, revision: int = 1) -> None:
        seen = AddressObserved(address="127.0.0.1", verdict=ServingVerdict.WANTED, fingerprint_sha256=fingerprint)
        event = EndpointObserved(
            certificate_id=certificate.id,
            url=url,
            verdict=seen.verdict,
            served_revision=revision,
            served_fingerprint_sha256=fingerprint,
            addresses=(seen,),
            observed_at=datetime.now(UTC),
            in_a_row=0,
        )
        await self.report(event, place=HUB, service="monitor", about=certificate.id)

    async def roll_out(self, certificate: CertificateView, revision: int = 1) -> None:
        """Everything from the order to the proof."""
        fingerprint = await self.issue(certificate, revision)
        for target in certificate.targets:
            await self.deliver(certificate, target.name, fingerprint, revision)
        for endpoint in certificate.endpoints:
            await self.observe(certificate, endpoint.url, fingerprint, revision)
