"""Sites, and what their services found there."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from fastapi import APIRouter, status

from certcore.api import Page, SiteView
from certcore.audit import Way
from certcore.clock import Clock
from certcore.enrolment import SiteEnrolment
from certcore.errors import SealingError
from certcore.events import Recipient
from certcore.identities import HUB, recipient_name
from certcore.names import is_label
from certcore.rejection import RejectedError, Rejection
from certcore.review import SiteReview, SiteReviewUpdate
from certcore.sealing import decode_public_key
from registry.adapters.store import Store, Transaction
from registry.adapters.store.reviews import Place
from registry.domain.errors import ConflictError, NotFoundError
from registry.domain.site import Site
from registry.handlers.http.auth import DelivererService, Operator, Viewer
from registry.handlers.http.paging import After, Limit, cursor_of, read_cursor, read_instant
from registry.handlers.reviews import Reviews
from registry.handlers.views import site_view

__all__ = ["sites_router"]


_REVIEW: Final = "review"


def sites_router(*, store: Store, reviews: Reviews, clock: Clock, enrolled: Callable[[], None]) -> APIRouter:
    """`enrolled` is called when a site was: it has streams of its own."""
    router = APIRouter(prefix="/v1", tags=["sites"])

    @router.get("/sites")
    async def list_sites(_: Viewer) -> Page[SiteView]:
        """Sites by name. `silent` names the services of a site that should have reported by now."""
        sites, seen, counts = await store.read(
            lambda transaction: (transaction.sites.all(), transaction.services.all(), transaction.placements.counts())
        )
        views = (site_view(site, seen, counts, clock()) for site in sites if site.name != HUB)
        return Page[SiteView](items=tuple(views))

    @router.put("/sites/{name}", status_code=status.HTTP_204_NO_CONTENT)
    async def enrol(name: str, enrolment: SiteEnrolment, caller: Operator) -> None:
        """Enrol a site with the public halves of its services' keys; a key that is there is replaced only where
        `replace` says so. Then everything that the service should hold is sealed again.

        The hub is enrolled the same way, for a pusher that delivers to targets of no site.
        """
        if not is_label(name):
            raise RejectedError([Rejection(field="name", message="is no name for a site")])
        _check(enrolment)
        if name == HUB and any(recipient.service != "pusher" for recipient in enrolment.recipients):
            raise RejectedError([Rejection(field="recipients", message="only a pusher can be at the hub")])
        actor, now = caller.subject, clock()
        await store.write(lambda transaction: _enrol(transaction, name, enrolment, actor=actor, now=now))
        enrolled()

    @router.get("/sites/{name}/review")
    async def review(name: str, _: Viewer, after: After = None, limit: Limit = 500) -> SiteReview:
        """The TLS Secrets of the site's clusters, ours and others, as its syncer reported them last."""
        found, further = await reviews.page(name, after=_read_place(after), limit=limit)
        return found.model_copy(update={"next": _cursor_of(further)}) if further else found

    @router.put("/sites/{name}/review", status_code=status.HTTP_204_NO_CONTENT)
    async def update_review(name: str, update: SiteReviewUpdate, caller: DelivererService) -> None:
        """What changed of the review, told by the site's syncer; 409 where it builds on another than is stored."""
        if (caller.site, caller.service) != (name, "syncer"):
            raise NotFoundError(f"there is no site {name}")
        await reviews.update(name, update)

    return router


def _enrol(transaction: Transaction, name: str, enrolment: SiteEnrolment, *, actor: str, now: datetime) -> None:
    replaced: list[str] = []
    present = {item.name: item.public_key for item in _recipients(transaction.sites.all(), name)}
    for recipient in enrolment.recipients:
        known = present.get(recipient_name(name, recipient.service))
        if known is None or known == recipient.public_key:
            continue
        if not enrolment.replace:
            raise ConflictError(f"{name} has another key for its {recipient.service} already")
        replaced.append(recipient.service)
    keys: dict[str, str] = {recipient.service: recipient.public_key for recipient in enrolment.recipients}
    transaction.sites.enrol(name, keys, now)
    transaction.audit.note(actor, "enrol site", name, ", ".join(sorted(keys)), now, way=Way.TOKEN)
    for service in replaced:
        count = transaction.reseals.look_at_all(name, service, recipient_name(name, service), now)
        detail = f"{service}: keys of {count} certificates are to be sealed again"
        transaction.audit.note(actor, "replace key", name, detail, now, way=Way.TOKEN)


def _read_place(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    ends, *names = read_cursor(_REVIEW, cursor, parts=4)
    return Place(read_instant(ends), *names)


def _cursor_of(place: Place) -> str:
    return cursor_of(_REVIEW, place.ends.isoformat(), place.namespace, place.secret, place.cluster)


def _recipients(sites: Sequence[Site], name: str) -> list[Recipient]:
    return [recipient for site in sites if site.name == name for recipient in site.recipients]


def _check(enrolment: SiteEnrolment) -> None:
    seen: set[str] = set()
    for number, recipient in enumerate(enrolment.recipients):
        if recipient.service in seen:
            raise RejectedError([Rejection(field=f"recipients.{number}.service", message="is given twice")])
        seen.add(recipient.service)
        try:
            decode_public_key(recipient.public_key)
        except SealingError as error:
            rejection = Rejection(field=f"recipients.{number}.public_key", message=f"is {error}")
            raise RejectedError([rejection]) from None
