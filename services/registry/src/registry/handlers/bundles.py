"""Sealed bundles: stored by the issuer, fetched by their recipients, never opened here."""

from collections.abc import Sequence
from typing import Final

import structlog

from certcore.audit import Way
from certcore.bundles import IssuedBundle, SealedBundle, StoredBundle
from certcore.clock import Clock
from certcore.errors import InspectionError, PermanentError
from certcore.events import RevisionIssued
from certcore.identities import recipient_name
from certcore.inspection import X509Certificate, read_chain
from certcore.placements import PLATFORM
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.domain.access import Principal
from registry.domain.errors import ConflictError, NotFoundError
from registry.domain.issuance import accept_leaf
from registry.domain.resealing import fits, of_escrow
from registry.domain.revision import Revision
from registry.domain.rollout import Rollout
from registry.handlers.changes import Changes
from registry.handlers.issued import save_issued

__all__ = ["Bundles"]

log = structlog.get_logger()

_KEY_MARK: Final = b"PRIVATE KEY"
_TOGETHER_S: Final = 0.05
"""So long a fetch may wait for company: many sites fetch the same bundle at once. It is given when it is audited."""


class Bundles:
    def __init__(self, *, store: Store, changes: Changes, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._changes = changes
        self._bell = bell
        self._clock = clock

    async def store(
        self, certificate_id: str, number: int, variant: str, issued: IssuedBundle, *, actor: str
    ) -> StoredBundle:
        """Keep what was issued, if it is what was ordered, and take the report that comes with it, in one
        transaction. The same bundle again is no error.

        Raises:
            NotFoundError: there is no such certificate.
            ConflictError: it is not what was ordered, can't be served, or another one is stored.
            InspectionError: the chain can't be read, or a key is not sealed.
        """
        chain = _read(issued)
        leaf = chain[0]

        def work(transaction: Transaction) -> StoredBundle:
            rollout = transaction.rollouts.get(certificate_id)
            if rollout is None:
                raise NotFoundError(f"there is no certificate {certificate_id}")
            name = rollout.certificate.name
            present = rollout.revision(number, variant)
            if present is None:
                revision = self._accepted(transaction, rollout, chain, issued, number=number, variant=variant)
                transaction.revisions.add(revision, (*issued.keys, *of_escrow(issued.escrow, variant)))
                self._look_at_stale(transaction, revision, issued)
                sealed_to = ", ".join(sorted(key.recipient for key in issued.keys)) or "nobody"
                detail = f"serial {leaf.serial}, sealed to {sealed_to}"
                what = f"{name}/{number}/{variant}"
                transaction.audit.note(actor, "store bundle", what, detail, self._clock(), way=Way.TOKEN)
                rollout = rollout.with_revision(revision)
            elif present.fingerprint_sha256 != leaf.fingerprint_sha256:
                raise ConflictError(f"revision {number} of {name} is stored already, with another leaf")
            return StoredBundle(reported=self._reported(transaction, rollout, number, variant, issued))

        done = await self._store.write(work)
        if done.reported:
            self._bell.ring()
        return done

    def _look_at_stale(self, transaction: Transaction, revision: Revision, issued: IssuedBundle) -> None:
        """A recipient may have got another key since the revision was ordered."""
        # Who replaces a key waits, or makes this see the new one.
        transaction.sites.hold([key.recipient for key in issued.keys])
        enrolled = {item.name: item for site in transaction.sites.all() for item in site.recipients}
        stale = [
            key.recipient
            for key in issued.keys
            if key.recipient in enrolled and not fits(key, enrolled[key.recipient])
        ]
        transaction.reseals.look_at(revision.certificate_id, stale, self._clock())

    def _accepted(
        self,
        transaction: Transaction,
        rollout: Rollout,
        chain: Sequence[X509Certificate],
        issued: IssuedBundle,
        *,
        number: int,
        variant: str,
    ) -> Revision:
        leaf, certificate = chain[0], rollout.certificate
        sealed_to = {key.recipient for key in issued.keys}
        reported = transaction.reported.has(certificate.id, number, variant, leaf.fingerprint_sha256)
        revision = accept_leaf(rollout, chain, number, variant, sealed_to, reported=reported, now=self._clock())
        if transaction.revisions.has_leaf(leaf.fingerprint_sha256):
            raise ConflictError(f"the leaf with serial {leaf.serial} is a revision of another certificate")
        return revision

    def _reported(
        self, transaction: Transaction, rollout: Rollout, number: int, variant: str, issued: IssuedBundle
    ) -> bool:
        stored, report = rollout.revision(number, variant), issued.report
        if stored is None or report is None:
            return False
        event = RevisionIssued(
            certificate_id=rollout.certificate.id,
            revision=number,
            variant=variant,
            fingerprint_sha256=stored.fingerprint_sha256,
            ca=report.ca,
            validation_method=report.validation_method,
            ari_id=report.ari_id,
        )
        try:
            save_issued(transaction, self._changes, rollout, event, now=self._clock())
        except PermanentError as error:
            # What is issued is kept all the same; the issuer's own report becomes a dead letter that says why.
            log.warning("report_not_taken", certificate=rollout.certificate.name, revision=number, reason=str(error))
            return False
        return True

    async def fetch(self, certificate_id: str, number: int, variant: str, principal: Principal) -> SealedBundle:
        """The bundle sealed to the caller, or without a key where its target made its own. Every fetch is audited,
        and every refusal.

        Raises:
            NotFoundError: unknown or not the caller's, with the same answer.
        """
        recipient = (
            recipient_name(principal.site, principal.service) if principal.site and principal.service else None
        )
        what = f"{certificate_id}/{number}/{variant}"

        def work(transaction: Transaction) -> SealedBundle | None:
            found = _sealed_to(transaction, certificate_id, number, variant, recipient) if recipient else None
            transaction.audit.note(
                recipient or principal.subject,
                "fetch bundle" if found is not None else "refused bundle",
                what,
                "",
                self._clock(),
                way=Way.TOKEN,
                roles=principal.roles,
            )
            return found

        found = await self._store.write(work, patience_s=_TOGETHER_S)
        if found is None:
            raise NotFoundError(f"there is no bundle {certificate_id}/{number}")
        return found


def _sealed_to(
    transaction: Transaction, certificate_id: str, number: int, variant: str, recipient: str
) -> SealedBundle | None:
    rollout = transaction.rollouts.get(certificate_id)
    revision = rollout.revision(number, variant) if rollout else None
    if rollout is None or revision is None:
        return None
    keys = transaction.revisions.sealed_keys([(certificate_id, number, variant)], recipient=recipient)
    key = keys.get(certificate_id, {}).get((number, variant, recipient))
    if key is None and not _takes_without_key(rollout, variant, recipient):
        return None
    return SealedBundle(
        certificate_id=certificate_id, revision=number, chain_pem=revision.chain_pem, key=key, variant=variant
    )


def _takes_without_key(rollout: Rollout, variant: str, recipient: str) -> bool:
    return variant != PLATFORM and any(
        (item.variant, item.recipient) == (variant, recipient) for item in rollout.placements
    )


def _read(issued: IssuedBundle) -> tuple[X509Certificate, ...]:
    try:
        pem = issued.chain_pem.encode()
    except UnicodeEncodeError:
        raise InspectionError("chain can't be read: it is no text") from None
    keys = (*issued.keys, *((issued.escrow,) if issued.escrow is not None else ()))
    # The last check before the database: a fault of the issuer must not store a key in it.
    if _KEY_MARK in pem or any(_KEY_MARK in key.raw() for key in keys):
        raise InspectionError("the bundle holds a private key that is not sealed")
    return read_chain(pem)
