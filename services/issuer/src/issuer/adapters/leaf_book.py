"""Which jobs of the journal have a leaf, and whether something newer of their certificates was handed over."""

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, bindparam, func, select

from issuer.adapters.journal_database import JournalDatabase
from issuer.adapters.journal_rows import readable
from issuer.adapters.tables import job
from issuer.domain.job import Job
from issuer.domain.revocation import KnownLeaf

__all__ = ["LeafBook", "leaf_of"]

_WITH_KEY: Final = select(job).where(job.c.spki_sha256 == bindparam("of_spki"), job.c.chain_pem.is_not(None))
_NEWEST: Final = select(func.max(job.c.revision)).where(
    job.c.certificate_id == bindparam("of_certificate"),
    job.c.variant == bindparam("of_variant"),
    # Also of one that is handed over again just now.
    job.c.stored_at.is_not(None),
    job.c.revoked_at.is_(None),
)


class LeafBook:
    """Its calls may raise DatabaseBusyError."""

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

    async def known(self, leaf_der: bytes, *, spki_sha256: str) -> list[KnownLeaf]:
        """The jobs that have this very leaf: several, where the CA gave one order to more than one."""

        def look(connection: Connection) -> list[KnownLeaf]:
            rows = connection.execute(_WITH_KEY, {"of_spki": spki_sha256}).all()
            jobs = [one for one in map(readable, rows) if one is not None and leaf_of(one) == leaf_der]
            return [_known(connection, one) for one in jobs]

        return await self._database.read(look)


def leaf_of(one: Job) -> bytes | None:
    """The leaf of the job's chain, in DER; None where it can't be read."""
    try:
        leaf = x509.load_pem_x509_certificate((one.chain_pem or "").encode())
    except ValueError:
        return None
    return leaf.public_bytes(Encoding.DER)


def _known(connection: Connection, one: Job) -> KnownLeaf:
    of = {"of_certificate": one.id.certificate_id, "of_variant": one.id.variant}
    newest = connection.execute(_NEWEST, of).scalar_one()
    return KnownLeaf(
        job=one.id,
        name=one.issue_order.name,
        ca=one.ca,
        newest=newest == one.id.revision,
        revocation=one.revocation,
    )
