"""A page of the list of certificates: what a query finds, told by an ETag before it is built."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from certcore.api import CertificateSummary, FacetCounts
from certcore.certificate_list import CertificateQuery
from registry.adapters.store import Transaction
from registry.adapters.store.listing import Listed, Place
from registry.domain.certificate import Certificate
from registry.handlers.levels import LevelPage, page_unless_known
from registry.handlers.views import certificate_summary

__all__ = ["KeptSummaries", "ListPage", "certificates_on_page", "list_page"]

_KEPT: Final = 4000
"""About 10 MB; the first pages that people have open, many times over."""

_Key = tuple[str, int, int]


class KeptSummaries:
    """Summaries as they were shown last, by all from which they follow: a row is read and checked once. For readers
    in several threads; of more than `most` the oldest are forgotten.
    """

    def __init__(self, *, most: int = _KEPT) -> None:
        self._most = most
        self._kept: dict[_Key, CertificateSummary] = {}
        self._turn = threading.Lock()

    def of(self, found: Iterable[Listed], read: Callable[[list[str]], list[Certificate]]) -> list[CertificateSummary]:
        """In their order; those that are not known are read by their ids."""
        keys = [(item.certificate_id, item.version, item.epoch) for item in found]
        summaries = {key: self._kept.get(key) for key in keys}
        missing = {key[0]: key for key, summary in summaries.items() if summary is None}
        if missing:
            made = {missing[item.id]: certificate_summary(item) for item in read(list(missing))}
            summaries |= made
            self._keep(made)
        return [summary for key in keys if (summary := summaries[key]) is not None]

    def _keep(self, made: dict[_Key, CertificateSummary]) -> None:
        with self._turn:
            self._kept |= made
            for key in list(self._kept)[: max(0, len(self._kept) - self._most)]:
                del self._kept[key]


@dataclass(frozen=True)
class ListPage:
    """`further` is where the next page begins; None at the end."""

    level: LevelPage[CertificateSummary]
    further: Place | None
    counts: dict[str, FacetCounts] | None


def list_page(
    transaction: Transaction,
    query: CertificateQuery,
    *,
    owners: frozenset[str] | None,
    after: Place | None,
    limit: int,
    form: str,
    known: frozenset[str],
    kept: KeptSummaries,
) -> ListPage:
    """A page in some form (`json`, `csv`), which is built only where its ETag isn't known."""
    found = transaction.listing.page(query, owners=owners, after=after, limit=limit)
    counts = transaction.listing.counts(query, owners=owners) if query.facets else None
    further = found[-1].place if len(found) == limit else None

    level = page_unless_known(
        [(form, counts), *found],
        lambda: kept.of(found, transaction.certificates.unjudged),
        further=repr(further) if further else None,
        known=known,
    )
    return ListPage(level, further, counts)


def certificates_on_page(
    transaction: Transaction,
    query: CertificateQuery,
    *,
    owners: frozenset[str] | None,
    after: Place | None,
    limit: int,
) -> tuple[list[Certificate], Place | None]:
    """The certificates themselves, and where the next page begins."""
    found = transaction.listing.page(query, owners=owners, after=after, limit=limit)
    by_id = {item.id: item for item in transaction.certificates.many([item.certificate_id for item in found])}
    certificates = [by_id[item.certificate_id] for item in found]
    return certificates, found[-1].place if len(found) == limit else None
