"""Publishes stored events again, because a person asked for it."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from certcore.audit import Way
from certcore.clock import Clock
from certcore.rejection import RejectedError, Rejection
from certcore.replay import Replay, ReplayedEvent, ReplayOrder
from registry.adapters.outbox import Bell
from registry.adapters.store import Store, Transaction
from registry.adapters.store.events import Selection
from registry.domain.errors import NotFoundError

__all__ = ["Replays"]

_BATCH: Final = 500
_SHOWN: Final = 200


class Replays:
    def __init__(self, *, store: Store, bell: Bell, clock: Clock) -> None:
        self._store = store
        self._bell = bell
        self._clock = clock

    async def replay(self, order: ReplayOrder, *, person: str, dry_run: bool) -> Replay:
        """Have the events published again: the same events, in messages of their own. A dry run only tells which.

        Many are ordered in parts: after an error some may be published, and all may be asked for again.

        Raises:
            RejectedError: nothing is given to select them by.
            NotFoundError: there is no such event, certificate or stream.
        """
        selection = await self._store.read(partial(_selection, order))
        sequences, replaced = await self._select(selection)
        if not sequences and not replaced:
            raise NotFoundError("no event that was published has all that is given")
        shown = await self._store.read(lambda transaction: transaction.events.many(sequences[:_SHOWN]))
        if not dry_run:
            await self._store.write(partial(self._note, order, len(sequences), person))
            for begin in range(0, len(sequences), _BATCH):
                await self._store.write(partial(_again, sequences[begin : begin + _BATCH]))
            self._bell.ring()
        events = tuple(
            ReplayedEvent(id=item.id, type=item.type, stream=item.stream, about=item.about, time=item.time)
            for item in shown
        )
        return Replay(events=events, total=len(sequences), replaced=replaced)

    async def _select(self, selection: Selection) -> tuple[list[int], int]:
        found: list[int] = []
        replaced, after = 0, 0
        while True:
            read = partial(_page, selection, after)
            page = await self._store.read(read)
            found += [sequence for sequence, gone in page if not gone]
            replaced += sum(gone for _, gone in page)
            if len(page) < _BATCH:
                return found, replaced
            after = page[-1][0]

    def _note(self, order: ReplayOrder, total: int, person: str, transaction: Transaction) -> None:
        what = f"{total} events: {order.model_dump_json(exclude_defaults=True)}"[:1000]
        about = order.stream or order.certificate or ""
        transaction.audit.note(person, "replay events", about, what, self._clock(), way=Way.TOKEN)


def _again(sequences: Sequence[int], transaction: Transaction) -> None:
    transaction.events.publish_again(sequences)


def _page(selection: Selection, after: int, transaction: Transaction) -> list[tuple[int, bool]]:
    return transaction.events.selected(selection, after=after, limit=_BATCH)


def _selection(order: ReplayOrder, transaction: Transaction) -> Selection:
    if not (order.ids or order.certificate or order.stream or order.since):
        raise RejectedError([Rejection(field="ids", message="give ids, a certificate, a stream or a time")])
    if unknown := transaction.events.unknown(order.ids):
        raise NotFoundError(f"there is no event {', '.join(unknown[:10])}")
    about = None
    if order.certificate is not None:
        known = transaction.certificates.named(order.certificate) or transaction.certificates.get(order.certificate)
        if known is None:
            raise NotFoundError(f"there is no certificate {order.certificate}")
        about = known.id
    return Selection(order.ids, about, order.stream, order.since)
