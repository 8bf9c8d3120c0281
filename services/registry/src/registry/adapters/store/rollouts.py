"""A certificate with all that is stored of its rollout, for one or for many at once."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, and_, delete, exists, func, select, union

from certcore.api import CertificateState
from certcore.placements import PLATFORM
from registry.adapters import tables
from registry.adapters.store.certificates import Certificates, Mark
from registry.adapters.store.endpoints import Endpoints
from registry.adapters.store.placements import Placements
from registry.adapters.store.revisions import Revisions, SigningRequests
from registry.domain.certificate import Certificate
from registry.domain.revision import SigningState
from registry.domain.rollout import Rollout

__all__ = ["Rollouts"]

_ON_THE_WAY: Final = (
    CertificateState.APPROVED,
    CertificateState.ISSUING,
    CertificateState.RENEWING,
    CertificateState.FAILING,
)
_OTHERWISE_DONE: Final = (CertificateState.DELIVERING, CertificateState.LIVE)


class Rollouts:
    """Five statements, however many certificates are asked for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
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

    def replace(self, rollout: Rollout) -> None:
        """Store the placements and endpoints of a certificate of which nothing was ever ordered, and no others."""
        for row in (tables.placement, tables.endpoint):
            self._connection.execute(delete(row).where(row.c.certificate_id == rollout.certificate.id))
        self.add(rollout)

    def get(self, certificate_id: str) -> Rollout | None:
        certificate = self._certificates.get(certificate_id)
        return self.of(certificate) if certificate else None

    def of(self, certificate: Certificate) -> Rollout:
        return (self.many([certificate]))[0]

    def unissued(self, *, after: str, limit: int) -> list[Mark]:
        """Certificates of which something may be ordered and not issued, by id and after an id.

        By state where that follows the platform's variant; where another variant was issued first, by that one; and
        by the signing requests that went to the issuer.
        """
        row, placement, signing = tables.certificate, tables.placement, tables.signing_request
        late = exists().where(
            placement.c.certificate_id == row.c.id,
            placement.c.variant == PLATFORM,
            func.coalesce(placement.c.wanted, 0) < row.c.ordered,
        )
        queries = (
            # One for each: of several states at once, SQLite would sort all rows for a page.
            *(select(row.c.id).where(row.c.state == state.value) for state in _ON_THE_WAY),
            select(row.c.id)
            .join(signing, and_(signing.c.certificate_id == row.c.id, signing.c.revision == row.c.ordered))
            .where(
                signing.c.state == SigningState.ISSUED.value,
                row.c.state.in_([state.value for state in _OTHERWISE_DONE]),
                late,
            ),
            select(signing.c.certificate_id.label("id")).where(signing.c.state == SigningState.ORDERED.value),
        )
        parts = []
        for query in queries:
            key = query.selected_columns[0]
            part = query.where(key > after).distinct().order_by(key).limit(limit).subquery()
            parts.append(select(part.c.id))
        return self._certificates.marks(among=union(*parts).subquery(), after=after, limit=limit)

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
