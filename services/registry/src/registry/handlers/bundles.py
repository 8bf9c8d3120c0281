"""Sealed bundles: handed over by the issuer, fetched by their recipients, opened by nobody in between."""

from typing import Final

from certcore.bundles import IssuedBundle, SealedBundle, SealedKey
from certcore.clock import Clock
from certcore.errors import InspectionError
from certcore.identities import recipient_name
from certcore.inspection import Certificate, read_chain
from registry.adapters.store import Store
from registry.domain.access import Principal
from registry.domain.certificate import Revision
from registry.domain.errors import ConflictError, NotFoundError
from registry.handlers.orders import recipient_names

__all__ = ["Bundles"]

_KEY_MARK: Final = b"PRIVATE KEY"


class Bundles:
    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def store(self, certificate_id: str, number: int, issued: IssuedBundle, *, actor: str) -> None:
        """Keep what was issued, if it is what was ordered. The same bundle again is no error.

        Raises:
            NotFoundError: there is no such certificate.
            ConflictError: nobody ordered this revision, it has other names or other recipients, or another one is
                stored.
            InspectionError: the chain can't be read, or a key is not sealed.
        """
        chain = _read(issued)
        leaf = chain[0]
        sealed = {key.recipient: key.raw() for key in issued.keys}
        async with self._store.transaction() as transaction:
            certificate = await transaction.certificate(certificate_id)
            if certificate is None:
                raise NotFoundError(f"there is no certificate {certificate_id}")
            present = await transaction.revision(certificate_id, number)
            if present is not None:
                if present.fingerprint_sha256 == leaf.fingerprint_sha256:
                    return
                raise ConflictError(f"revision {number} of {certificate.name} is stored already, with another leaf")
            if number != certificate.ordered:
                raise ConflictError(f"revision {number} of {certificate.name} was not ordered")
            if set(leaf.dns_names) != set(certificate.spec.dns_names):
                raise ConflictError(f"revision {number} of {certificate.name} has other names than were approved")
            recipients = recipient_names(certificate)
            if sealed.keys() != recipients:
                raise ConflictError(
                    f"revision {number} of {certificate.name} is not sealed to {', '.join(sorted(recipients))}"
                )
            if await transaction.has_leaf(leaf.fingerprint_sha256):
                raise ConflictError(f"the leaf with serial {leaf.serial} is a revision of another certificate")
            revision = Revision(
                certificate_id=certificate_id,
                number=number,
                serial=leaf.serial,
                fingerprint_sha256=leaf.fingerprint_sha256,
                spki_sha256=leaf.spki_sha256,
                not_before=leaf.not_before,
                not_after=leaf.not_after,
                # As it was read: what else stood between the certificates is not kept.
                chain_pem="".join(certificate.pem for certificate in chain),
                stored_at=self._clock(),
            )
            await transaction.add_revision(revision, sealed)
            detail = f"serial {leaf.serial}, sealed to {', '.join(sorted(sealed))}"
            await transaction.note(actor, "store bundle", f"{certificate.name}/{number}", detail, self._clock())

    async def fetch(self, certificate_id: str, number: int, principal: Principal) -> SealedBundle:
        """The bundle sealed to the caller; every fetch is audited.

        Raises:
            NotFoundError: unknown or not the caller's, which are never told apart.
        """
        missing = NotFoundError(f"there is no bundle {certificate_id}/{number}")
        if principal.site is None or principal.service is None:
            raise missing
        name = recipient_name(principal.site, principal.service)
        async with self._store.transaction() as transaction:
            revision = await transaction.revision(certificate_id, number)
            sealed = await transaction.sealed_key(certificate_id, number, name)
            if revision is None or sealed is None:
                raise missing
            await transaction.note(name, "fetch bundle", f"{certificate_id}/{number}", "", self._clock())
        return SealedBundle(
            certificate_id=certificate_id,
            revision=number,
            chain_pem=revision.chain_pem,
            key=SealedKey.of(name, sealed),
        )


def _read(issued: IssuedBundle) -> tuple[Certificate, ...]:
    try:
        pem = issued.chain_pem.encode()
    except UnicodeEncodeError:
        raise InspectionError("chain can't be read: it is no text") from None
    # The last door before the database: a fault of the issuer's must not leave a key in it.
    if _KEY_MARK in pem or any(_KEY_MARK in key.raw() for key in issued.keys):
        raise InspectionError("the bundle holds a private key that is not sealed")
    return read_chain(pem)
