"""A certificate with all that is stored of its rollout, for one or for many at once."""

from collections.abc import Sequence

from sqlalchemy import Connection

from registry.adapters.store.certificates import Certificates
from registry.adapters.store.endpoints import Endpoints
from registry.adapters.store.placements import Placements
from registry.adapters.store.revisions import Revisions, SigningRequests
from registry.domain.certificate import Certificate
from registry.domain.rollout import Rollout

__all__ = ["Rollouts"]


class Rollouts:
    """Five statements, however many certificates are asked for."""

    def __init__(self, connection: Connection) -> None:
        self._certificates = Certificates(connection)
        self._revisions = Revisions(connection)
        self._placements = Placements(connection)
        self._endpoints = Endpoints(connection)
        self._signing = SigningRequests(connection)

    def add(self, rollout: Rollout) -> None:
        """Store the placements and endpoints of a new certificate."""
        for placement in rollout.placements:
            self._placements.save(placement)
        for endpoint in rollout.endpoints:
            self._endpoints.save(endpoint)

    def get(self, certificate_id: str) -> Rollout | None:
        certificate = self._certificates.get(certificate_id)
        return self.of(certificate) if certificate else None

    def of(self, certificate: Certificate) -> Rollout:
        return (self.many([certificate]))[0]

    def many(self, certificates: Sequence[Certificate]) -> list[Rollout]:
        """In the order of the certificates."""
        ids = [certificate.id for certificate in certificates]
        revisions = self._revisions.of(ids)
        placements = self._placements.of(ids)
        endpoints = self._endpoints.of(ids)
        signing = self._signing.of(ids)
        return [
            Rollout(
                certificate,
                revisions=tuple(revisions[certificate.id]),
                placements=tuple(placements[certificate.id]),
                endpoints=tuple(endpoints[certificate.id]),
                signing=tuple(signing[certificate.id]),
            )
            for certificate in certificates
        ]
