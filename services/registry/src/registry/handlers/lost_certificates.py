"""What was requested, decided and ordered after the copy was made: taken from the events that the bus still holds."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Protocol

import structlog
from pydantic import ValidationError

from certcore import subjects
from certcore.audit import Way
from certcore.certificate import stored
from certcore.clock import Clock
from certcore.cloudevents import time_of
from certcore.door import RequestDoor
from certcore.events import Event
from certcore.placements import generation
from certcore.rejection import RejectedError
from certkit.stream_messages import StoredMessage
from registry.adapters.outbox import SOURCE
from registry.adapters.store import RowChangedError, Store, Transaction
from registry.domain.change import Change
from registry.domain.claim import claims_of
from registry.domain.recollection import TOLD_BY, Memory, recollect, recreate
from registry.handlers.changes import Changes

__all__ = ["LostCertificates", "Messages"]

log = structlog.get_logger()

_ACTOR: Final = "registry"
_KINDS: Final = {kind.type: kind for kind in TOLD_BY}
_BATCH: Final = 200


@dataclass(frozen=True)
class _Told:
    id: str
    event: Event
    time: datetime
    subject: str
    certificate_id: str


class Messages(Protocol):
    """As `certkit.stream_messages.StreamMessages`."""

    async def streams(self) -> Collection[str]: ...

    def all(self, stream: str, subject: str) -> AsyncIterator[StoredMessage]: ...


class LostCertificates:
    """Recreates certificates that aren't here. Those that can't be are told by the issuer's report."""

    def __init__(
        self,
        *,
        store: Store,
        changes: Changes,
        messages: Messages,
        door: RequestDoor,
        new_id: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._store = store
        self._changes = changes
        self._messages = messages
        self._door = door
        self._new_id = new_id
        self._clock = clock

    async def read(self) -> int:
        """Take over what isn't stored; returns how many certificates that concerns.

        Raises:
            TransientError: the broker doesn't answer, or the database takes no writes now.
        """
        if subjects.CERTS not in await self._messages.streams():
            return 0
        told: dict[str, list[_Told]] = defaultdict(list)
        for kind in TOLD_BY:
            batch: list[_Told] = []
            async for message in self._messages.all(subjects.CERTS, subjects.events(kind.type)):
                batch += _read(message)
                if len(batch) >= _BATCH:
                    await self._sort(batch, told)
                    batch = []
            await self._sort(batch, told)
        for certificate_id, events in told.items():
            await self._take_over(certificate_id, sorted(events, key=lambda item: item.time))
        return len(told)

    async def _sort(self, batch: Sequence[_Told], told: dict[str, list[_Told]]) -> None:
        """Keep those that aren't stored, by certificate."""
        ids = [item.id for item in batch]
        unheard = await self._store.read(lambda transaction: transaction.epochs.unheard(ids))
        for item in batch:
            if item.id in unheard:
                told[item.certificate_id].append(item)

    async def _take_over(self, certificate_id: str, told: Sequence[_Told]) -> None:
        try:
            await self._store.write(partial(self._recollect, certificate_id, told))
        except (RejectedError, RowChangedError) as error:
            # Its name is taken, or its intent can't be read by this version.
            log.warning("certificate_not_recreated", certificate_id=certificate_id, error=str(error)[:300])

    def _recollect(self, certificate_id: str, told: Sequence[_Told], transaction: Transaction) -> None:
        memory = Memory.of((item.event, item.time) for item in told)
        if transaction.certificates.get(certificate_id) is None and not self._recreate(transaction, memory):
            return
        rollout = transaction.rollouts.get(certificate_id)
        request = transaction.requests.of_certificate(certificate_id)
        assert rollout is not None, "it is stored or was recreated"
        if request is None:
            return
        found = recollect(memory, rollout, request, approval_id=self._new_id(), now=self._clock())
        if found.request != request:
            transaction.requests.save(found.request)
        if found.approval is not None:
            transaction.approvals.add(found.approval)
        certificate = found.rollout.certificate
        if not certificate.active:
            transaction.claims.release(certificate_id)
        self._changes.save(transaction, rollout, Change(certificate.reason, certificate=certificate))
        for item in told:
            transaction.events.add(
                item.event,
                event_id=item.id,
                source=SOURCE,
                owner=certificate.owner,
                stream=subjects.CERTS,
                subject=item.subject,
                about=certificate_id,
                now=item.time,
                traceparent=None,
                sent=True,
            )
        log.info("certificate_recollected", certificate=certificate.name, state=str(certificate.state))

    def _recreate(self, transaction: Transaction, memory: Memory) -> bool:
        if memory.requested is None or memory.requested.intent is None:
            return False
        spec = self._door.read(memory.requested.intent.model_dump_json(exclude_none=True).encode())
        floor = generation(transaction.epochs.present().number, 0)
        made = recreate(memory, spec, self._door.kinds, floor=floor, now=self._clock())
        form = stored(spec.model_copy(update={"owner": memory.requested.owner}))
        transaction.certificates.add(made.rollout.certificate, form)
        transaction.claims.add_free(made.rollout.certificate.id, claims_of(spec))
        transaction.rollouts.add(made.rollout)
        transaction.requests.add(made.request, form)
        what = made.rollout.certificate.name
        transaction.audit.note(_ACTOR, "recreate", what, f"request {made.request.id}", self._clock(), way=Way.SYSTEM)
        return True


def _read(message: StoredMessage) -> list[_Told]:
    kind = _KINDS.get(message.headers.get("ce-type", ""))
    event_id = message.headers.get("ce-id", "")
    if kind is None or not event_id:
        return []
    instant, certificate_id = time_of(message.headers), message.subject.rsplit(".", 1)[-1]
    with suppress(ValidationError):
        event = kind.model_validate_json(message.body)
        if instant is not None:
            return [_Told(event_id, event, instant, message.subject, certificate_id)]
    log.warning("event_left_out", subject=message.subject, sequence=message.sequence)
    return []
