"""Rows of revisions, and of their bundles: a revision's private key, sealed to each recipient."""

from collections.abc import Mapping
from dataclasses import asdict

from sqlalchemy import and_, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from registry.adapters import tables
from registry.adapters.store.statements import exists
from registry.domain.certificate import Revision

__all__ = ["Revisions"]


class Revisions:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, revision: Revision, sealed: Mapping[str, bytes]) -> None:
        """Store a revision and its sealed keys by recipient."""
        await self._connection.execute(insert(tables.revision).values(asdict(revision)))
        for recipient, key in sealed.items():
            await self._connection.execute(
                insert(tables.bundle).values(
                    certificate_id=revision.certificate_id,
                    revision=revision.number,
                    recipient=recipient,
                    sealed=key,
                )
            )

    async def save(self, revision: Revision) -> None:
        row = tables.revision
        await self._connection.execute(
            update(row)
            .where(and_(row.c.certificate_id == revision.certificate_id, row.c.number == revision.number))
            .values(asdict(revision))
        )

    async def of(self, certificate_id: str) -> list[Revision]:
        """Newest first; those that the issuer has not reported yet among them."""
        row = tables.revision
        query = select(row).where(row.c.certificate_id == certificate_id).order_by(row.c.number.desc())
        return [Revision(**found._asdict()) for found in await self._connection.execute(query)]

    async def get(self, certificate_id: str, number: int) -> Revision | None:
        return next((found for found in await self.of(certificate_id) if found.number == number), None)

    async def has_leaf(self, fingerprint_sha256: str) -> bool:
        """Whether a leaf is stored as a revision of any certificate."""
        return await exists(self._connection, tables.revision, {"fingerprint_sha256": fingerprint_sha256})

    async def sealed_key(self, certificate_id: str, number: int, recipient: str) -> bytes | None:
        row = tables.bundle
        query = select(row.c.sealed).where(
            and_(row.c.certificate_id == certificate_id, row.c.revision == number, row.c.recipient == recipient)
        )
        found: bytes | None = (await self._connection.execute(query)).scalar_one_or_none()
        return found

    async def sealed_keys(self, certificate_id: str, number: int) -> dict[str, bytes]:
        """The sealed keys of a revision by recipient."""
        row = tables.bundle
        query = select(row.c.recipient, row.c.sealed).where(
            and_(row.c.certificate_id == certificate_id, row.c.revision == number)
        )
        return {found.recipient: found.sealed for found in await self._connection.execute(query)}
