"""A site whose syncer's key is replaced, and all who have to do with that."""

from dataclasses import dataclass, field

import httpx
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certcore.api import CertificateView, Role
from certcore.bundles import IssuedBundle, IssueReport, ResealedKeys, ResealWanted, SealedKey
from certcore.events import DeploymentOrdered
from certcore.identities import ESCROW
from certcore.placements import PLATFORM
from certcore.sealing import RecipientKey, SealContext, seal
from tests.authority import Issued
from tests.integration.registry.bodies import a_body
from tests.integration.registry.reported import items
from tests.integration.registry.stand_ins import StandIns
from tests.registry_process import Person, RunningRegistry

__all__ = ["Site", "a_site"]


@dataclass
class Site:
    """A site whose syncer's key is replaced. `key` is the one that it has now."""

    name: str
    registry: RunningRegistry
    syncer: Person
    escrow: Person
    services: StandIns
    key_of_escrow: RecipientKey = field(default_factory=lambda: RecipientKey(ESCROW, X25519PrivateKey.generate()))

    @property
    def recipient(self) -> str:
        return f"{self.name}-syncer"

    @property
    def key(self) -> RecipientKey:
        return self.registry.keys[self.recipient]

    async def requested(self) -> CertificateView:
        return await self.services.requested(
            a_body(targets=[{"kind": "files", "name": "host", "site": self.name}], endpoints=None, proof="none")
        )

    async def hand_over(
        self, certificate: CertificateView, revision: int = 1, *, copy: bool = True
    ) -> tuple[Issued, httpx.Response]:
        issued = self.services.authority.issue(*certificate.dns_names)
        keys = self.services.sealed(certificate, revision, issued.key_pem)
        body = IssuedBundle(
            chain_pem=issued.chain_pem,
            keys=tuple(keys),
            report=IssueReport(ca="letsencrypt", validation_method="dns-01"),
            escrow=self._copy(certificate, revision, issued) if copy else None,
        ).model_dump(mode="json")
        return issued, await self.services.issuer.put(f"/v1/bundles/{certificate.id}/{revision}", json=body)

    async def live(self, *, copy: bool = True) -> tuple[CertificateView, Issued]:
        certificate = await self.requested()
        issued, answer = await self.hand_over(certificate, copy=copy)
        assert answer.status_code == 200, answer.text
        await self.services.delivered(certificate, "host", 1, issued)
        await self.services.settled()
        return await self.services.shown(certificate.name), issued

    def _copy(self, certificate: CertificateView, revision: int, issued: Issued) -> SealedKey:
        context = SealContext(ESCROW, certificate.id, revision, PLATFORM)
        sealed = seal(issued.key_pem.encode(), public_key=self.key_of_escrow.public_key, context=context)
        return SealedKey.of(ESCROW, sealed, self.key_of_escrow.key_id)

    async def rotate(self, **fields: object) -> httpx.Response:
        self.registry.keys[self.recipient] = RecipientKey(self.recipient, X25519PrivateKey.generate())
        recipients = [{"service": "syncer", "public_key": self.key.public_key}]
        return await self.registry.admin.put(f"/v1/sites/{self.name}", json={"recipients": recipients, **fields})

    async def listed(self, certificate: CertificateView) -> list[ResealWanted]:
        found = await items(self.escrow, "/v1/reseals", ResealWanted)
        return [item for item in found if item.certificate_id == certificate.id]

    async def hand_back(self, wanted: ResealWanted, *keys: SealedKey, person: Person | None = None) -> httpx.Response:
        body = ResealedKeys(keys=keys).model_dump(mode="json")
        path = f"/v1/bundles/{wanted.certificate_id}/{wanted.revision}/keys"
        return await (person or self.escrow).put(path, json=body)

    async def ordered(self, certificate: CertificateView) -> DeploymentOrdered:
        found = await items(self.syncer, "/v1/deployments", DeploymentOrdered)
        return next(item for item in found if item.certificate_id == certificate.id)

    def audited(self, action: str, what: str) -> list[str]:
        query = "SELECT detail FROM audit WHERE action = ? AND object = ? ORDER BY sequence"
        return [str(row["detail"]) for row in self.registry.process.rows(query, action, what)]


async def a_site(registry: RunningRegistry, services: StandIns) -> Site:
    syncer = await registry.service("site2-syncer", Role.DELIVERER, site="site2", kind="syncer")
    return Site("site2", registry, syncer, await registry.service("escrow", Role.ESCROW), services)
