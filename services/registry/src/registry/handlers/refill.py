"""Publishes again what a lost stream should hold: the same events, which consumers know by their ids."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from certcore import subjects
from certcore.events import CertificateApproved, CertificateRenewalDue, CsrAccepted, EndpointsExpected
from certcore.identities import HUB
from registry.adapters.store import Store, Transaction
from registry.adapters.store.events import StoredEvent

__all__ = ["refill"]

_MONTH: Final = timedelta(days=30)
_BATCH: Final = 500
_ORDERS: Final = {event.type: event for event in (CertificateApproved, CertificateRenewalDue, CsrAccepted)}

Page = tuple[list[int], str | None]
"""Sequences, and what to continue after; None at the end."""


async def refill(store: Store, stream: str, *, now: datetime, done: set[str]) -> int:
    """Order what the stream should hold to be published again, and return how many events that are.

    `done` names what was ordered for other streams that were lost together with this one: nothing is published twice
    for them, whoever reads it would have to look through all of it before what is new. It is added to.

    Deployments: the newest of each subject, as the stream keeps them. Certificates' events: the orders that are not
    carried out yet, and what each endpoint should serve. Answers and alerts: those of the last month. What services
    report in the other streams is not the registry's to publish: their orders are, and they report again.

    Raises:
        TransientError: the database takes no writes; some of it may be ordered, and may be ordered again.
    """
    count = 0
    for name, pages in _pages(stream, now=now):
        if name in done:
            continue
        after: str | None = ""
        while after is not None:
            sequences, after = await store.read(partial(pages, after=after))
            if sequences:
                await store.write(partial(_again, sequences))
            count += len(sequences)
        done.add(name)
    return count


def _again(sequences: Sequence[int], transaction: Transaction) -> None:
    transaction.events.publish_again(sequences)


def _pages(stream: str, *, now: datetime) -> Iterator[tuple[str, Callable[..., Page]]]:
    """What the stream should hold, each part with a name."""
    if stream.startswith(subjects.DEPLOY):
        yield _deployments(stream.removeprefix(subjects.DEPLOY))
    elif stream.startswith(subjects.STATUS):
        place = stream.removeprefix(subjects.STATUS)
        yield _deployments(place)
        if place == HUB:
            yield "orders", _orders
    elif stream.startswith(subjects.LAST):
        yield _expectations()
    elif stream == subjects.CERTS:
        yield "orders", _orders
        yield _expectations()
    elif stream == subjects.ALERTS or stream.startswith(subjects.ANSWERS):
        yield stream, partial(_since, stream, now - _MONTH)


def _deployments(place: str) -> tuple[str, Callable[..., Page]]:
    stream = subjects.deploy_stream(place)
    return stream, partial(_newest, stream, subjects.deploys_at(place).removesuffix(">"))


def _expectations() -> tuple[str, Callable[..., Page]]:
    subject = subjects.events(EndpointsExpected.type)
    return subject, partial(_newest, subjects.CERTS, subject.removesuffix(">"))


def _newest(stream: str, prefix: str, transaction: Transaction, *, after: str) -> Page:
    found = transaction.stream_epochs.newest(stream, prefix, after=after, limit=_BATCH)
    return [sequence for _, sequence in found], found[-1][0] if len(found) == _BATCH else None


def _since(stream: str, time: datetime, transaction: Transaction, *, after: str) -> Page:
    found = transaction.stream_epochs.since(stream, time, after=int(after or "0"), limit=_BATCH)
    return found, str(found[-1]) if len(found) == _BATCH else None


def _orders(transaction: Transaction, *, after: str) -> Page:
    ids = [mark.certificate_id for mark in transaction.rollouts.unissued(after=after, limit=_BATCH)]
    ordered = {item.id: item.ordered for item in transaction.certificates.many(ids)}
    orders = transaction.events.many(transaction.stream_epochs.orders(ids))
    found = [event.sequence for event in orders if _revision(event) == ordered.get(event.about)]
    return found, ids[-1] if len(ids) == _BATCH else None


def _revision(event: StoredEvent) -> int | None:
    known = _ORDERS.get(event.type)
    return known.model_validate_json(event.data).order.revision if known is not None else None
