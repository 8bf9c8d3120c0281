"""What was requested, decided and ordered after the copy was made: taken from the events that the bus still holds."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final, Protocol

import structlog
from pydantic import JsonValue, ValidationError

from certcore import subjects
from certcore.api import CertificateState, RequestState
from certcore.audit import Way
from certcore.certificate import CertificateSpec, stored
from certcore.clock import Clock
from certcore.cloudevents import time_of
from certcore.door import RequestDoor
from certcore.events import Event
from certcore.placements import generation
from certcore.rejection import RejectedError
from certkit.stream_messages import StoredMessage
from registry.adapters.outbox import SOURCE
from registry.adapters.store import RowChangedError, Store, Transaction
from registry.domain.certificate import Certificate
from registry.domain.change import Change
from registry.domain.claim import claims_of
from registry.domain.lifecycle import Trigger, follow
from registry.domain.recollection import TOLD_BY, Memory, Recollected, recollect, recreate, was_asked_again
from registry.domain.repetition import asked_again
from registry.handlers.changes import Changes

__all__ = ["LostCertificates", "Messages"]

log = structlog.get_logger()

_ACTOR: Final = "registry"
_KINDS: Final = {kind.type: kind for kind in TOLD_BY}
_BATCH: Final = 200

Form = dict[str, JsonValue]


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
        before = transaction.certificates.get(certificate_id)
        if before is None and not self._recreate(transaction, memory):
            return
        if before is not None:
            self._ask_again(transaction, memory, before)
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

    def _ask_again(self, transaction: Transaction, memory: Memory, before: Certificate) -> None:
        """What the copy has as waiting or denied was denied then, and is asked for with another request."""
        request = transaction.requests.of_certificate(before.id)
        if request is None or not was_asked_again(memory, request):
            return
        if before.state is CertificateState.WAITING_FOR_APPROVAL and request.state == RequestState.WAITING:
            reason = "denied before the registry was restored"
            before = before.moved(follow(before.state, Trigger.DENIED), reason, self._clock())
            transaction.requests.save(replace(request, state=RequestState.DENIED, reason=reason))
            transaction.claims.release(before.id)
        if before.state is not CertificateState.DENIED or before.ordered:
            return
        made, spec, form = self._made(transaction, memory)
        certificate = transaction.certificates.restate(asked_again(before, made.rollout.certificate), form)
        transaction.rollouts.replace(made.rollout.with_certificate(certificate))
        self._note(transaction, made, spec, form)

    def _recreate(self, transaction: Transaction, memory: Memory) -> bool:
        if memory.requested is None or memory.requested.intent is None:
            return False
        made, spec, form = self._made(transaction, memory)
        transaction.certificates.add(made.rollout.certificate, form)
        transaction.rollouts.add(made.rollout)
        self._note(transaction, made, spec, form)
        return True

    def _made(self, transaction: Transaction, memory: Memory) -> tuple[Recollected, CertificateSpec, Form]:
        assert memory.requested is not None, "whoever asks for it looked"
        assert memory.requested.intent is not None, "whoever asks for it looked"
        spec = self._door.read(memory.requested.intent.model_dump_json(exclude_none=True).encode())
        floor = generation(transaction.epochs.present().number, 0)
        made = recreate(memory, spec, self._door.kinds, floor=floor, now=self._clock())
        return made, spec, stored(spec.model_copy(update={"owner": memory.requested.owner}))

    def _note(self, transaction: Transaction, made: Recollected, spec: CertificateSpec, form: Form) -> None:
        transaction.claims.add_free(made.rollout.certificate.id, claims_of(spec))
        transaction.requests.add(made.request, form)
        what = made.rollout.certificate.name
        transaction.audit.note(_ACTOR, "recreate", what, f"request {made.request.id}", self._clock(), way=Way.SYSTEM)


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
