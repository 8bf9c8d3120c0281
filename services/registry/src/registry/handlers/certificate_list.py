"""A page of the list of certificates: what a query finds, told by an ETag before it is built."""

from collections.abc import Callable
from dataclasses import dataclass

from certcore.api import CertificateSummary, FacetCounts
from certcore.certificate_list import CertificateQuery
from registry.adapters.store import Transaction
from registry.adapters.store.listing import Place
from registry.domain.certificate import Certificate
from registry.handlers.levels import LevelPage, page_unless_known
from registry.handlers.views import certificate_summary

__all__ = ["ListPage", "certificates_on_page", "list_page"]


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
) -> ListPage:
    """A page in some form (`json`, `csv`), which is built only where its ETag isn't known."""
    found = transaction.listing.page(query, owners=owners, after=after, limit=limit)
    counts = transaction.listing.counts(query, owners=owners) if query.facets else None
    further = found[-1].place if len(found) == limit else None

    def build() -> list[CertificateSummary]:
        certificates = _in_order(transaction.certificates.unjudged, [item.certificate_id for item in found])
        return [certificate_summary(certificate) for certificate in certificates]

    level = page_unless_known(
        [(form, counts), *found],
        build,
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
    certificates = _in_order(transaction.certificates.many, [item.certificate_id for item in found])
    return certificates, found[-1].place if len(found) == limit else None


def _in_order(read: Callable[[list[str]], list[Certificate]], ids: list[str]) -> list[Certificate]:
    by_id = {certificate.id: certificate for certificate in read(ids)}
    return [by_id[certificate_id] for certificate_id in ids]
