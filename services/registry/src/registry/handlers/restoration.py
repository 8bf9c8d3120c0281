"""A database that was restored from an older copy: recognised at the start, and brought up by the issuer's report.

Until the issuer has reported, nothing new is decided: no request, no approval, no renewal. The epoch is a row of the
database, and so is that it waits: a crash at any point changes nothing of it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

import structlog

from certcore import subjects
from certcore.api import BundleWanted, IssuedAnswer, IssuedReport, IssuedRevision, RestoreView
from certcore.audit import Way
from certcore.clock import Clock
from certcore.cloudevents import time_of
from certcore.errors import PermanentError
from certcore.events import RegistryAnchored, Severity
from certkit.readiness import Finding
from certkit.stream_messages import StreamMessages
from registry.adapters.anchors import AnchorPlace
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.domain.anchor import Standing, compare
from registry.domain.epoch import Epoch
from registry.domain.errors import ConflictError
from registry.domain.restoration import catch_up
from registry.domain.rollout import Rollout
from registry.handlers.changes import Changes
from registry.handlers.last_values import LastValues
from registry.handlers.lost_certificates import LostCertificates

__all__ = ["Restoration", "RestoreAlarms"]

log = structlog.get_logger()

ALARM: Final = "registry_restored"
_ACTOR: Final = "registry"
_NOTE: Final = "restored: waiting for the issuer's report"
_BATCH: Final = 50
_LISTED: Final = 100


class RestoreAlarms(Protocol):
    """Alarms of the platform. Both calls may be repeated."""

    def raise_(
        self, transaction: Transaction, *, reason: str, subject: str, severity: Severity, summary: str
    ) -> None: ...

    def resolve(self, transaction: Transaction, *, reason: str, subject: str) -> None: ...


class Restoration:
    def __init__(
        self,
        *,
        store: Store,
        changes: Changes,
        places: Sequence[AnchorPlace],
        messages: StreamMessages,
        lost: LostCertificates,
        last_values: LastValues,
        alarms: RestoreAlarms | None = None,
        bell: Bell,
        clock: Clock,
    ) -> None:
        self._store = store
        self._changes = changes
        self._places = places
        self._messages = messages
        self._lost = lost
        self._last_values = last_values
        self._alarms = alarms
        self._bell = bell
        self._clock = clock
        self._waiting = False

    # ── at the start ────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self) -> Epoch:
        """Compare the database with its anchors; where it is an older copy, begin the next epoch.

        For as long as it waits for the issuer, each start reads again what the bus still knows.

        Raises:
            TransientError: the bus can't be read now. Whether the database is a copy is not known then: start
                again.
            OSError: likewise.
        """

        def position(transaction: Transaction) -> RegistryAnchored:
            return transaction.epochs.position(self._clock())

        own = await self._store.read(position)
        found = [anchor for place in self._places for anchor in await place.found(own.database_id)]
        standing = compare(own, found, unknown_event=await self._unknown_event())
        if standing.restored and await self._store.write(partial(self._begin, standing)):
            log.warning(
                "registry_restored", reason=str(standing.reason), epoch=standing.epoch, detail=standing.detail
            )
        epoch = await self.look()
        if epoch.waiting:
            # Of an epoch that began when a copy was put back, nobody was told.
            await self._store.write(partial(self._tell, epoch.reason))
            lost, last = await self._lost.read(), await self._last_values.read()
            log.info("bus_read_again", certificates=lost, last_values=last)
        return epoch

    def findings(self) -> Sequence[Finding]:
        """A check of readiness: a registry that waits is ready, and says that it waits."""
        return [Finding(check="restore", detail=_NOTE if self._waiting else None)]

    async def look(self) -> Epoch:
        """The epoch as it is stored; `findings` remembers whether it waits."""
        epoch = await self._store.read(lambda transaction: transaction.epochs.present())
        self._waiting = epoch.waiting
        return epoch

    def _begin(self, standing: Standing, transaction: Transaction) -> bool:
        now = self._clock()
        if not transaction.epochs.begin(standing.epoch, reason=standing.detail, now=now):
            return False
        transaction.audit.note(_ACTOR, "restored", f"epoch {standing.epoch}", standing.detail, now, way=Way.SYSTEM)
        self._tell(standing.detail, transaction)
        return True

    def _tell(self, reason: str, transaction: Transaction) -> None:
        if self._alarms is not None:
            summary = f"the registry runs on an older copy of its database: {reason}"
            self._alarms.raise_(
                transaction, reason=ALARM, subject=_ACTOR, severity=Severity.CRITICAL, summary=summary
            )

    async def _unknown_event(self) -> str | None:
        """The last event that was published of certificates, where it is newer than all that is stored."""
        message = await self._messages.last(subjects.CERTS, subjects.ANY_EVENT)
        if message is None:
            return None
        event_id, published = message.headers.get("ce-id"), time_of(message.headers)
        if event_id is None or published is None:
            return None

        def is_unknown(transaction: Transaction) -> bool:
            last, began = transaction.events.last(), transaction.epochs.present().began_at
            # What is older than the epoch was lost before it began.
            known = [instant for instant in (last.time if last else None, began) if instant is not None]
            return all(published > instant for instant in known) and transaction.events.get(event_id) is None

        return event_id if await self._store.read(is_unknown) else None

    async def view(self) -> RestoreView:
        """How it stands, for people."""

        def work(transaction: Transaction) -> RestoreView:
            epoch = transaction.epochs.present()
            return RestoreView(
                database_id=epoch.database_id,
                epoch=epoch.number,
                began_at=epoch.began_at,
                waiting=epoch.waiting,
                reason=epoch.reason,
                unknown=tuple(transaction.reported.unknown(limit=_LISTED)),
            )

        return await self._store.read(work)

    # ── when the issuer reports ─────────────────────────────────────────────────────────────────────────────

    async def report(self, part: IssuedReport, *, actor: str) -> IssuedAnswer:
        """Take over what the issuer has. With the last part it is known what is wanted: the newest of each variant.

        Raises:
            ConflictError: the report is of another epoch.
            DatabaseBusyError: the database takes no writes now: the part may be sent again.
        """
        await self._store.write(partial(self._keep, part))
        if not part.complete:
            return IssuedAnswer(wanted=())
        wanted: list[IssuedRevision] = []
        after = ""
        while True:
            ids = await self._store.read(partial(_reported, after))
            wanted += await self._store.write(partial(self._catch_up, ids))
            if len(ids) < _BATCH:
                break
            after = ids[-1]
        await self._store.write(partial(self._end, part.epoch, actor, len(wanted)))
        await self.look()
        self._bell.ring()
        return IssuedAnswer(
            wanted=tuple(
                BundleWanted(certificate_id=item.certificate_id, revision=item.revision, variant=item.variant)
                for item in wanted
            )
        )

    def _keep(self, part: IssuedReport, transaction: Transaction) -> None:
        present = transaction.epochs.present()
        if part.epoch != present.number:
            raise ConflictError(f"the report is of epoch {part.epoch}, and this is epoch {present.number}")
        transaction.reported.keep(part.revisions)

    def _catch_up(self, ids: Sequence[str], transaction: Transaction) -> list[IssuedRevision]:
        reported = transaction.reported.of(ids)
        rollouts = transaction.rollouts.many(transaction.certificates.many(ids))
        sealed = transaction.revisions.sealed_keys(
            (rollout.certificate.id, item.number, item.variant) for rollout in rollouts for item in rollout.variants
        )
        carried = transaction.services.carried()
        wanted: list[IssuedRevision] = []
        for rollout in rollouts:
            certificate = rollout.certificate
            try:
                done = catch_up(
                    rollout,
                    reported[certificate.id],
                    sealed.get(certificate.id, {}),
                    carried,
                    approved=_is_approved(transaction, rollout),
                    now=self._clock(),
                )
            except PermanentError as error:
                # The others are taken over all the same.
                log.warning("not_caught_up", certificate=certificate.name, error=str(error))
                continue
            wanted += done.wanted
            self._changes.save(transaction, rollout, done.change)
        return wanted

    def _end(self, epoch: int, actor: str, wanted: int, transaction: Transaction) -> None:
        unknown = transaction.reported.unknown(limit=_LISTED)
        for item in unknown:
            log.warning(
                "issued_for_an_unknown_certificate",
                certificate_id=item.certificate_id,
                revision=item.revision,
                variant=item.variant,
                serial=item.serial,
            )
        if not transaction.epochs.end_waiting(epoch):
            return
        certificates = len({item.certificate_id for item in unknown})
        detail = f"{wanted} revisions are wanted from the issuer; {certificates} of its certificates are unknown here"
        transaction.audit.note(actor, "report issued", f"epoch {epoch}", detail, self._clock(), way=Way.TOKEN)
        if self._alarms is not None:
            self._alarms.resolve(transaction, reason=ALARM, subject=_ACTOR)
        log.info("issuer_reported", epoch=epoch, wanted=wanted, unknown=certificates)


def _reported(after: str, transaction: Transaction) -> list[str]:
    return transaction.reported.certificates(after=after, limit=_BATCH)


def _is_approved(transaction: Transaction, rollout: Rollout) -> bool:
    approval = transaction.approvals.get(rollout.certificate.approval_id)
    return approval is not None and approval.spec_hash == rollout.certificate.spec_hash
