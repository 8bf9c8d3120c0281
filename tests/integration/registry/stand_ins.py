"""The other services as far as the registry can tell: what they hand over, and what they report on the bus."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Final, Self

import httpx

from certcore.api import CertificateView, Role
from certcore.bundles import IssuedBundle, IssueReport, SealedKey
from certcore.cloudevents import headers_of
from certcore.events import (
    AddressObserved,
    DeliveryFailed,
    DeliveryReason,
    DeliverySucceeded,
    EndpointObserved,
    Event,
    MissedEndpoint,
    ProbeRound,
    RevisionFailed,
    RevisionIssued,
    RevisionRenewalWindow,
    RevisionStarted,
    ServingVerdict,
    SiteHeartbeat,
)
from certcore.identities import recipient_name
from certcore.placements import PLATFORM
from certcore.sealing import RecipientKey, SealContext, seal
from certcore.targets import FILES, HAPROXY, KUBERNETES
from tests.authority import Authority, Issued
from tests.integration.registry.bodies import Body, a_body
from tests.integration.registry.bus import Bus
from tests.integration.registry.toy_kinds import APPLIANCE, TOY_CDN
from tests.registry_process import Person, RunningRegistry
from tests.reports import handled, publish_report

__all__ = ["SERVICE_OF_KIND", "StandIns"]

SERVICE_OF_KIND: Final = {kind.kind: kind.service for kind in (FILES, HAPROXY, KUBERNETES, APPLIANCE, TOY_CDN)}


class StandIns:
    """Issuer, deliverers and monitor. A report returns the id of its event, by which it can be sent again."""

    def __init__(self, *, registry: RunningRegistry, bus: Bus, issuer: Person, asker: Person) -> None:
        self.registry = registry
        self.bus = bus
        self.issuer = issuer
        self.asker = asker
        self.authority = Authority()
        self._last_look = datetime.now(UTC)

    @classmethod
    async def start(cls, registry: RunningRegistry, bus: Bus) -> Self:
        issuer = await registry.service("issuer", Role.ISSUER)
        return cls(registry=registry, bus=bus, issuer=issuer, asker=await registry.person("asker", Role.REQUESTER))

    async def requested(self, body: Body | None = None) -> CertificateView:
        body = body or a_body()
        response = await self.asker.post("/v1/requests", json=body)
        assert response.status_code == 202, response.text
        return await self.shown(body["name"])

    async def shown(self, name: str) -> CertificateView:
        response = await self.registry.admin.get(f"/v1/certificates/{name}")
        assert response.status_code == 200, response.text
        return CertificateView.model_validate_json(response.content)

    async def settled(self) -> None:
        """Wait until the registry has handled every report, or has set it aside."""
        await handled(self.bus.js)

    # ── what the issuer hands over ──────────────────────────────────────────────────────────────────────────

    def sealed(self, certificate: CertificateView, revision: int, key_pem: str) -> list[SealedKey]:
        names = {
            recipient_name(target.site, SERVICE_OF_KIND[target.kind])
            for target in certificate.targets
            if target.variant == PLATFORM
        }
        return [self._sealed(self.registry.keys[name], certificate, revision, key_pem) for name in sorted(names)]

    @staticmethod
    def _sealed(recipient: RecipientKey, certificate: CertificateView, revision: int, key_pem: str) -> SealedKey:
        context = SealContext(recipient.name, certificate.id, revision, PLATFORM)
        sealed = seal(key_pem.encode(), public_key=recipient.public_key, context=context)
        return SealedKey.of(recipient.name, sealed, recipient.key_id)

    async def put(
        self,
        certificate_id: str,
        revision: int,
        chain_pem: str,
        keys: list[SealedKey],
        *,
        variant: str | None = None,
        report: IssueReport | None = None,
    ) -> httpx.Response:
        body = IssuedBundle(chain_pem=chain_pem, keys=tuple(keys), report=report).model_dump(mode="json")
        parameters = {"variant": variant} if variant else {}
        return await self.issuer.put(f"/v1/bundles/{certificate_id}/{revision}", json=body, params=parameters)

    async def hand_over(
        self, certificate: CertificateView, revision: int = 1, *, age: timedelta = timedelta(0)
    ) -> Issued:
        """A certificate for 30 days, of which some have passed."""
        since = datetime.now(UTC) - age
        issued = self.authority.issue(*certificate.dns_names, not_before=since, not_after=since + timedelta(days=30))
        keys = self.sealed(certificate, revision, issued.key_pem)
        response = await self.put(certificate.id, revision, issued.chain_pem, keys)
        assert response.status_code == 200, response.text
        return issued

    async def issue(
        self, certificate: CertificateView, revision: int = 1, *, age: timedelta = timedelta(0)
    ) -> Issued:
        """Hand over and announce."""
        issued = await self.hand_over(certificate, revision, age=age)
        await self.announced(certificate, revision, issued)
        return issued

    async def make_live(
        self, certificate: CertificateView, revision: int = 1, *, age: timedelta = timedelta(0)
    ) -> Issued:
        issued = await self.issue(certificate, revision, age=age)
        for target in certificate.targets:
            await self.delivered(certificate, target.name, revision, issued)
        for endpoint in certificate.endpoints:
            await self.served(certificate, endpoint.url, revision, issued)
        await self.settled()
        return issued

    # ── what the services report ────────────────────────────────────────────────────────────────────────────

    async def report(
        self,
        event: Event,
        *,
        place: str,
        service: str,
        about: str,
        event_id: str | None = None,
        source: str | None = None,
    ) -> str:
        event_id = event_id or str(uuid.uuid4())
        headers = headers_of(
            event,
            event_id=event_id,
            source=source or f"certbus/{place}/{service}",
            time=datetime.now(UTC),
            about=about,
        )
        # Without the broker's own guard against twins: the registry's is looked at here.
        del headers["Nats-Msg-Id"]
        await publish_report(self.bus.js, event, place=place, service=service, about=about, headers=headers)
        return event_id

    async def started(self, certificate: CertificateView, revision: int = 1) -> str:
        event = RevisionStarted(certificate_id=certificate.id, revision=revision, ca="ca-one")
        return await self.report(event, place="hub", service="issuer", about=certificate.id)

    async def announced(
        self, certificate: CertificateView, revision: int, issued: Issued, *, variant: str = PLATFORM
    ) -> str:
        event = RevisionIssued(
            certificate_id=certificate.id,
            revision=revision,
            fingerprint_sha256=issued.fingerprint,
            ca="ca-one",
            validation_method="dns-01",
            ari_id=f"ari-{revision}",
            variant=variant,
        )
        return await self.report(event, place="hub", service="issuer", about=certificate.id)

    async def failed(
        self,
        certificate: CertificateView,
        revision: int,
        reason: str = "the CA said no",
        *,
        again: datetime | None = None,
    ) -> str:
        event = RevisionFailed(certificate_id=certificate.id, revision=revision, reason=reason, next_try=again)
        return await self.report(event, place="hub", service="issuer", about=certificate.id)

    async def suggested(
        self,
        certificate: CertificateView,
        revision: int,
        chosen: datetime,
        *,
        answered_at: datetime | None = None,
        explanation_url: str | None = None,
    ) -> str:
        """A window of two days around an instant."""
        event = RevisionRenewalWindow(
            certificate_id=certificate.id,
            revision=revision,
            start=chosen - timedelta(days=1),
            end=chosen + timedelta(days=1),
            chosen=chosen,
            answered_at=answered_at or datetime.now(UTC),
            explanation_url=explanation_url,
        )
        return await self.report(event, place="hub", service="issuer", about=certificate.id)

    async def generation(self, certificate: CertificateView, target: str) -> int:
        """The one that is ordered now."""
        await self.settled()
        present = await self.shown(certificate.name)
        return next(item.generation for item in present.targets if item.name == target)

    async def delivered(
        self,
        certificate: CertificateView,
        target: str,
        revision: int,
        issued: Issued,
        *,
        generation: int | None = None,
    ) -> str:
        event = DeliverySucceeded(
            certificate_id=certificate.id,
            generation=await self.generation(certificate, target) if generation is None else generation,
            revision=revision,
            target=target,
            variant=variant_of(certificate, target),
            fingerprint_sha256=issued.fingerprint,
        )
        return await self.tell(certificate, target, event)

    async def not_delivered(
        self, certificate: CertificateView, target: str, revision: int, *, generation: int | None = None
    ) -> str:
        event = DeliveryFailed(
            certificate_id=certificate.id,
            generation=await self.generation(certificate, target) if generation is None else generation,
            revision=revision,
            target=target,
            variant=variant_of(certificate, target),
            reason=DeliveryReason.UNREACHABLE,
            detail="no answer",
            next_try=datetime.now(UTC) + timedelta(minutes=1),
        )
        return await self.tell(certificate, target, event)

    async def tell(self, certificate: CertificateView, target: str, event: Event) -> str:
        """Report as the service that delivers to a target."""
        found = next(item for item in certificate.targets if item.name == target)
        service = SERVICE_OF_KIND[found.kind]
        return await self.report(event, place=found.site, service=service, about=certificate.id)

    async def beat(self, place: str, service: str, *, kinds: tuple[str, ...] | None = None, contract: int = 2) -> str:
        event = SiteHeartbeat(site=place, service=service, version="1", kinds=kinds, contract=contract)
        return await self.report(event, place=place, service=service, about=place)

    async def looked(
        self,
        *,
        period_s: float,
        worker: str = "monitor",
        ended: datetime | None = None,
        missed: tuple[MissedEndpoint, ...] = (),
    ) -> str:
        """A round of a probe worker that ends now."""
        ended = ended or datetime.now(UTC)
        event = ProbeRound(
            worker=worker,
            started=ended - timedelta(seconds=period_s),
            ended=ended,
            period_s=period_s,
            looked=1,
            missed=missed,
        )
        return await self.report(event, place="hub", service="monitor", about="hub")

    async def served(self, certificate: CertificateView, url: str, revision: int, issued: Issued) -> str:
        return await self.observed(certificate, url, ServingVerdict.WANTED, revision, issued)

    async def observed(
        self,
        certificate: CertificateView,
        url: str,
        verdict: ServingVerdict,
        revision: int | None = None,
        issued: Issued | None = None,
        *,
        at: datetime | None = None,
        in_a_row: int | None = None,
    ) -> str:
        """`in_a_row` is by default what a monitor counts before it publishes a fault."""
        # Looks follow each other, however fast they are reported.
        self._last_look = max(datetime.now(UTC), self._last_look + timedelta(microseconds=1))
        fingerprint = issued.fingerprint if issued else None
        event = EndpointObserved(
            certificate_id=certificate.id,
            url=url,
            verdict=verdict,
            served_revision=revision,
            served_fingerprint_sha256=fingerprint,
            addresses=(
                AddressObserved(address="127.0.0.1", verdict=verdict, fingerprint_sha256=fingerprint),
                AddressObserved(address="127.0.0.2", verdict=verdict, fingerprint_sha256=fingerprint, detail="slow"),
            ),
            observed_at=at or self._last_look,
            in_a_row=(0 if verdict is ServingVerdict.WANTED else 2) if in_a_row is None else in_a_row,
        )
        return await self.report(event, place="hub", service="monitor", about=certificate.id)


def variant_of(certificate: CertificateView, target: str) -> str:
    return next(item.variant for item in certificate.targets if item.name == target)
