"""The API for the escrow: what is to be sealed again, and what it sealed."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response, status

from certcore.api import Page
from certcore.bundles import ResealedKeys, ResealWanted
from certcore.names import Label
from certcore.placements import PLATFORM
from registry.handlers.http.auth import EscrowService
from registry.handlers.http.level_pages import KnownETags, level_response
from registry.handlers.http.paging import After, Limit, read_cursor
from registry.handlers.resealing import Resealing

__all__ = ["reseals_router"]

_RESEALS: Final = "reseals"


def reseals_router(*, resealing: Resealing) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["services"])

    @router.get("/reseals", response_model=Page[ResealWanted])
    async def list_reseals(
        caller: EscrowService, known: KnownETags, after: After = None, limit: Limit = 100
    ) -> Response:
        """The keys of which a recipient can't open any copy, each as the escrow has it; every copy that is shown is
        audited.
        """
        (last,) = read_cursor(_RESEALS, after)
        page = await resealing.page(after=last, limit=limit, known=known, actor=caller.subject)
        return level_response(_RESEALS, Page[ResealWanted], page)

    @router.put("/bundles/{certificate_id}/{revision}/keys", status_code=status.HTTP_204_NO_CONTENT)
    async def store_resealed(
        certificate_id: str,
        revision: Annotated[int, Path(ge=1, le=2**31 - 1)],
        resealed: ResealedKeys,
        caller: EscrowService,
        variant: Annotated[Label, Query(description="Whose key it is.")] = PLATFORM,
    ) -> None:
        """Hand over keys that were sealed again to recipients that are listed; their deliveries are ordered."""
        await resealing.store_keys(certificate_id, revision, variant, resealed, actor=caller.subject)

    return router
