"""Levels: what services read at their start and in slow rounds. An event only says it sooner.

A page that the caller knows costs the statement that tells so; it is not built.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final, Generic, TypeVar

from pydantic import BaseModel

from certcore.events import CONTRACT, EndpointsExpected, IssueOrder
from registry.adapters.store import Transaction
from registry.domain.orders import standing_orders

__all__ = ["LevelPage", "expectations", "issue_orders", "page_of", "page_unless_known"]

ItemT = TypeVar("ItemT", bound=BaseModel)
ItemT_co = TypeVar("ItemT_co", bound=BaseModel, covariant=True)

_RELEASE: Final = version("certbus-registry")
"""Another release may make another page of the same rows."""


@dataclass(frozen=True)
class LevelPage(Generic[ItemT_co]):
    """`items` is None where the caller has them: it gave this ETag. `further` is the id to continue after."""

    etag: str
    items: tuple[ItemT_co, ...] | None
    further: str | None


def page_unless_known(
    facts: Iterable[Sequence[object]],
    build: Callable[[], Sequence[ItemT]],
    *,
    further: str | None,
    known: frozenset[str],
) -> LevelPage[ItemT]:
    """A page that is built only where its ETag isn't known. All that it shows follows from the facts."""
    digest = hashlib.sha256(repr((_RELEASE, further)).encode())
    for fact in facts:
        digest.update(repr(fact).encode())
    etag = f'"{digest.hexdigest()[:32]}"'
    return LevelPage(etag, None if etag in known else tuple(build()), further)


def page_of(items: Sequence[ItemT], *, further: str | None, known: frozenset[str]) -> LevelPage[ItemT]:
    """A page of which nothing tells sooner what it shows."""
    return page_unless_known(
        [(item.model_dump_json(),) for item in items], lambda: items, further=further, known=known
    )


def issue_orders(transaction: Transaction, *, after: str, limit: int, known: frozenset[str]) -> LevelPage[IssueOrder]:
    """Every order that the issuer has still to carry out, by certificate id, those after an id; none in an epoch
    whose issuer has not reported: some may be issued already.
    """
    epoch = transaction.epochs.present()
    marks = [] if epoch.waiting else transaction.rollouts.unissued(after=after, limit=limit)
    ids = [mark.certificate_id for mark in marks]
    sites = transaction.sites.all() if marks else []

    def build() -> list[IssueOrder]:
        rollouts = transaction.rollouts.many(transaction.certificates.unjudged(ids)) if ids else []
        approvals = transaction.approvals.many(rollout.certificate.approval_id for rollout in rollouts)
        return [
            order
            for rollout in rollouts
            for order in standing_orders(rollout, sites, approvals.get(rollout.certificate.approval_id))
        ]

    recipients = [(site.name, *(recipient.public_key for recipient in site.recipients)) for site in sites]
    return page_unless_known(
        [(epoch.number, CONTRACT), *recipients, *marks],
        build,
        further=ids[-1] if len(ids) == limit else None,
        known=known,
    )


def expectations(
    transaction: Transaction, *, after: str, limit: int, known: frozenset[str]
) -> LevelPage[EndpointsExpected]:
    """What each endpoint should serve, by certificate id, those after an id."""
    marks = transaction.certificates.marks(after=after, limit=limit)
    ids = [mark.certificate_id for mark in marks]

    def build() -> list[EndpointsExpected]:
        rollouts = transaction.rollouts.many(transaction.certificates.unjudged(ids))
        return [rollout.expectation() for rollout in rollouts if rollout.wanted > 0]

    return page_unless_known(marks, build, further=ids[-1] if len(ids) == limit else None, known=known)
