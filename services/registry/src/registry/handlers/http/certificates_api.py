import hashlib
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response, status
from pydantic import Field

from certcore.api import CertificateSummary, CertificateView, Page
from certcore.certificate_list import CertificateQuery, Order
from registry.adapters.store import Store, Transaction
from registry.adapters.store.facts import NEVER
from registry.adapters.store.listing import Place
from registry.domain.access import Principal, owner_listed, sees
from registry.domain.certificate import Certificate
from registry.domain.errors import NotFoundError
from registry.handlers.certificate_list import KeptSummaries, list_page
from registry.handlers.http.auth import Viewer
from registry.handlers.http.csv_lists import as_csv
from registry.handlers.http.level_pages import KnownETags
from registry.handlers.http.paging import MOST, cursor_of, read_cursor, read_instant
from registry.handlers.views import certificate_view

__all__ = ["certificates_router", "cursor_at", "read_place", "visible_certificate"]

_AS_CSV: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


class PagedQuery(CertificateQuery):
    """A page of what a query finds."""

    after: str | None = Field(default=None, description="The `next` of the page before, in the same order.")
    limit: int = Field(default=100, ge=1, le=MOST, description="Items of one page.")
    format: Literal["json", "csv"] | None = Field(default=None, description="By default what `Accept` asks for.")


def certificates_router(*, store: Store, kept: KeptSummaries) -> APIRouter:
    router = APIRouter(prefix="/v1/certificates", tags=["certificates"])

    @router.get("", response_model=Page[CertificateSummary], responses=_AS_CSV)
    async def list_certificates(
        request: Request, caller: Viewer, query: Annotated[PagedQuery, Query()], known: KnownETags
    ) -> Response:
        """Certificates, filtered, sorted and counted, with their health and how far the newest revision has come.

        A counted facet is `exact`, or tells the first rows of a long list alone. As CSV too (`Accept: text/csv`); the
        next page is then named by the header `link`.
        """
        after = read_place(query.sort, query.after)
        owners, form = owner_listed(caller, query.owner), _form(request, query)
        page = await store.read(
            lambda transaction: list_page(
                transaction, query, owners=owners, after=after, limit=query.limit, form=form, known=known, kept=kept
            )
        )
        headers = {"etag": f"W/{page.level.etag}", "cache-control": "private, no-cache", "vary": "accept"}
        if page.level.items is None:
            return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
        following = cursor_at(query.sort, page.further) if page.further else None
        if form == "csv":
            if following is not None:
                url = request.url.include_query_params(after=following)
                headers["link"] = f'<{url.path}?{url.query}>; rel="next"'
            return Response(as_csv(page.level.items), media_type="text/csv", headers=headers)
        body = Page[CertificateSummary](items=page.level.items, next=following, counts=page.counts)
        return Response(body.model_dump_json(), media_type="application/json", headers=headers)

    @router.get("/{name}", response_model=CertificateView)
    async def show(name: str, caller: Viewer, known: KnownETags) -> Response:
        """One certificate, with its grid of targets and endpoints and the reason for which it waits."""

        def work(transaction: Transaction) -> bytes:
            certificate = visible_certificate(transaction, name, caller)
            rollout = transaction.rollouts.of(certificate)
            approval = transaction.approvals.get(certificate.approval_id)
            view = certificate_view(rollout, approval, transaction.probe_workers.all())
            return view.model_dump_json().encode()

        body = await store.read(work)
        # When it was looked at last is shown, and changes no row: nothing but what is shown tells whether it changed.
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"etag": f"W/{etag}", "cache-control": "private, no-cache"}
        if etag in known:
            return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    return router


def visible_certificate(transaction: Transaction, name: str, caller: Principal) -> Certificate:
    certificate = transaction.certificates.named(name)
    if certificate is None or not sees(caller, certificate.owner):
        raise NotFoundError(f"there is no certificate {name}")
    return certificate


def cursor_at(order: Order, place: Place) -> str:
    """A cursor of the list in this order."""
    if order in {Order.NAME, Order.NAME_DOWN}:
        return cursor_of(_list_in(order), place.name)
    return cursor_of(_list_in(order), place.name, place.instant.isoformat())


def read_place(order: Order, cursor: str | None) -> Place | None:
    """Where a cursor of the list in this order stands.

    Raises:
        RejectedError: it is none, or of another order.
    """
    if cursor is None:
        return None
    if order in {Order.NAME, Order.NAME_DOWN}:
        (name,) = read_cursor(_list_in(order), cursor)
        return Place(name, NEVER)
    name, end = read_cursor(_list_in(order), cursor, parts=2)
    return Place(name, read_instant(end))


def _list_in(order: Order) -> str:
    return "certificates" if order is Order.NAME else f"certificates by {order}"


def _form(request: Request, query: PagedQuery) -> str:
    if query.format is not None:
        return query.format
    accepted = request.headers.get("accept", "")
    return "csv" if "text/csv" in accepted and "application/json" not in accepted else "json"
