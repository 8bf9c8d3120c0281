"""Sealed bundles: stored by the issuer, fetched by their recipients, never opened here."""

from typing import Final

from certcore.bundles import IssuedBundle, SealedBundle
from certcore.clock import Clock
from certcore.errors import InspectionError
from certcore.identities import recipient_name
from certcore.inspection import X509Certificate, read_chain
from certcore.placements import PLATFORM
from registry.adapters.store import Store, Transaction
from registry.domain.access import Principal
from registry.domain.errors import ConflictError, NotFoundError
from registry.domain.issuance import accept_leaf
from registry.domain.rollout import Rollout

__all__ = ["Bundles"]

_KEY_MARK: Final = b"PRIVATE KEY"


class Bundles:
    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def store(
        self, certificate_id: str, number: int, variant: str, issued: IssuedBundle, *, actor: str
    ) -> None:
        """Keep what was issued, if it is what was ordered. The same bundle again is no error.

        Raises:
            NotFoundError: there is no such certificate.
            ConflictError: it is not what was ordered, can't be served, or another one is stored.
            InspectionError: the chain can't be read, or a key is not sealed.
        """
        chain = _read(issued)
        leaf = chain[0]

        def work(transaction: Transaction) -> None:
            rollout = transaction.rollouts.get(certificate_id)
            if rollout is None:
                raise NotFoundError(f"there is no certificate {certificate_id}")
            name = rollout.certificate.name
            present = rollout.revision(number, variant)
            if present is not None:
                if present.fingerprint_sha256 == leaf.fingerprint_sha256:
                    return
                raise ConflictError(f"revision {number} of {name} is stored already, with another leaf")
            now = self._clock()
            sealed_to = {key.recipient for key in issued.keys}
            reported = transaction.reported.has(certificate_id, number, variant, leaf.fingerprint_sha256)
            revision = accept_leaf(rollout, chain, number, variant, sealed_to, reported=reported, now=now)
            if transaction.revisions.has_leaf(leaf.fingerprint_sha256):
                raise ConflictError(f"the leaf with serial {leaf.serial} is a revision of another certificate")
            transaction.revisions.add(revision, issued.keys)
            detail = f"serial {leaf.serial}, sealed to {', '.join(sorted(sealed_to)) or 'nobody'}"
            transaction.audit.note(actor, "store bundle", f"{name}/{number}/{variant}", detail, now)

        await self._store.write(work)

    async def fetch(self, certificate_id: str, number: int, variant: str, principal: Principal) -> SealedBundle:
        """The bundle sealed to the caller, or without a key where its target made its own; every fetch is audited.

        Raises:
            NotFoundError: unknown or not the caller's, with the same answer.
        """
        missing = NotFoundError(f"there is no bundle {certificate_id}/{number}")
        if principal.site is None or principal.service is None:
            raise missing
        name = recipient_name(principal.site, principal.service)

        def work(transaction: Transaction) -> SealedBundle:
            rollout = transaction.rollouts.get(certificate_id)
            revision = rollout.revision(number, variant) if rollout else None
            if rollout is None or revision is None:
                raise missing
            keys = transaction.revisions.sealed_keys([(certificate_id, number, variant)], recipient=name)
            key = keys.get(certificate_id, {}).get((number, variant, name))
            if key is None and not _takes_without_key(rollout, variant, name):
                raise missing
            what = f"{certificate_id}/{number}/{variant}"
            transaction.audit.note(name, "fetch bundle", what, "", self._clock())
            return SealedBundle(
                certificate_id=certificate_id, revision=number, chain_pem=revision.chain_pem, key=key, variant=variant
            )

        return await self._store.write(work)


def _takes_without_key(rollout: Rollout, variant: str, recipient: str) -> bool:
    return variant != PLATFORM and any(
        (item.variant, item.recipient) == (variant, recipient) for item in rollout.placements
    )


def _read(issued: IssuedBundle) -> tuple[X509Certificate, ...]:
    try:
        pem = issued.chain_pem.encode()
    except UnicodeEncodeError:
        raise InspectionError("chain can't be read: it is no text") from None
    # The last check before the database: a fault of the issuer must not store a key in it.
    if _KEY_MARK in pem or any(_KEY_MARK in key.raw() for key in issued.keys):
        raise InspectionError("the bundle holds a private key that is not sealed")
    return read_chain(pem)
