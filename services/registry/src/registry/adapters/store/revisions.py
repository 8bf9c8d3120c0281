"""Rows of revisions, of their bundles (the platform's key, sealed to each recipient), and of signing requests."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from certcore.bundles import SealedKey
from registry.adapters import tables
from registry.adapters.store.statements import exists, known_or_text, put
from registry.domain.revision import Revision, SigningRequest, SigningState

__all__ = ["Revisions", "SigningRequests"]


class Revisions:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, revision: Revision, keys: Iterable[SealedKey]) -> None:
        """Store a revision and its sealed keys."""
        await self._connection.execute(insert(tables.revision).values(asdict(revision)))
        for key in keys:
            await self._connection.execute(
                insert(tables.bundle).values(
                    certificate_id=revision.certificate_id,
                    revision=revision.number,
                    variant=revision.variant,
                    recipient=key.recipient,
                    sealed=key.raw(),
                    key_id=key.key_id,
                )
            )

    async def save(self, revision: Revision) -> None:
        """Save what the issuer reported of it."""
        row = tables.revision
        where = (
            row.c.certificate_id == revision.certificate_id,
            row.c.number == revision.number,
            row.c.variant == revision.variant,
        )
        await self._connection.execute(
            update(row)
            .where(*where)
            .values(
                ca=revision.ca,
                validation_method=revision.validation_method,
                ari_id=revision.ari_id,
                announced=revision.announced,
            )
        )

    async def of(self, certificate_ids: Sequence[str]) -> dict[str, list[Revision]]:
        """By certificate, newest first; those that the issuer has not reported yet among them."""
        row = tables.revision
        query = (
            select(row).where(row.c.certificate_id.in_(certificate_ids)).order_by(row.c.number.desc(), row.c.variant)
        )
        found: dict[str, list[Revision]] = defaultdict(list)
        for item in await self._connection.execute(query):
            found[item.certificate_id].append(Revision(**item._asdict()))
        return found

    async def has_leaf(self, fingerprint_sha256: str) -> bool:
        """Whether a leaf is stored as a revision of any certificate."""
        return await exists(self._connection, tables.revision, {"fingerprint_sha256": fingerprint_sha256})

    async def has_key(self, spki_sha256: str) -> bool:
        """Whether a leaf with this public key is stored."""
        return await exists(self._connection, tables.revision, {"spki_sha256": spki_sha256})

    async def sealed_keys(
        self, pairs: Iterable[tuple[str, int, str]], *, recipient: str | None = None
    ) -> dict[str, dict[tuple[int, str, str], SealedKey]]:
        """The sealed keys of (certificate, revision, variant), of one recipient or of all.

        By certificate, then by revision, variant and recipient.
        """
        row = tables.bundle
        key = tuple_(row.c.certificate_id, row.c.revision, row.c.variant)
        query = select(row).where(key.in_(list(pairs)))
        if recipient is not None:
            query = query.where(row.c.recipient == recipient)
        found: dict[str, dict[tuple[int, str, str], SealedKey]] = defaultdict(dict)
        for item in await self._connection.execute(query):
            sealed = SealedKey.of(item.recipient, item.sealed, item.key_id)
            found[item.certificate_id][item.revision, item.variant, item.recipient] = sealed
        return found


class SigningRequests:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def save(self, request: SigningRequest) -> None:
        values = asdict(request) | {"state": str(request.state)}
        await put(self._connection, tables.signing_request, values, ("certificate_id", "revision", "variant"))

    async def of(self, certificate_ids: Sequence[str]) -> dict[str, list[SigningRequest]]:
        """By certificate, then by revision and variant."""
        row = tables.signing_request
        query = select(row).where(row.c.certificate_id.in_(certificate_ids)).order_by(row.c.revision, row.c.variant)
        found: dict[str, list[SigningRequest]] = defaultdict(list)
        for item in await self._connection.execute(query):
            found[item.certificate_id].append(_signing_request(item))
        return found


def _signing_request(row: Row[Any]) -> SigningRequest:
    values = row._asdict()
    values["state"] = known_or_text(SigningState, values["state"])
    return SigningRequest(**values)
