"""The API for answers to http-01 challenges at sites: the issuer orders them, a site reads its own as a level."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Response, status

from certcore.api import Page
from certcore.challenges import ChallengeOrder, ChallengeState, ChallengeToken
from certcore.events import ChallengeWanted
from certcore.identities import Service
from certcore.names import Label
from registry.adapters.store import Store
from registry.domain.errors import ForbiddenError
from registry.handlers.challenges import Challenges
from registry.handlers.http.auth import DelivererService, IssuerService
from registry.handlers.http.level_pages import KnownETags, level_response
from registry.handlers.http.paging import After, Limit, read_cursor

__all__ = ["challenges_router"]

_CHALLENGES: Final = "challenges"

_Site = Annotated[Label, Path(description="Whose syncer shows it.")]
_Token = Annotated[ChallengeToken, Path(description="The CA's token.")]


def challenges_router(*, store: Store, challenges: Challenges) -> APIRouter:
    router = APIRouter(prefix="/v1/challenges", tags=["services"])

    @router.get("", response_model=Page[ChallengeWanted])
    async def list_challenges(
        caller: DelivererService, known: KnownETags, after: After = None, limit: Limit = 100
    ) -> Response:
        """What the caller's site should show, and what it has still to say is removed."""
        if caller.service != Service.SYNCER or caller.site is None:
            raise ForbiddenError(f"{caller.subject} is no site's syncer")
        site = caller.site
        (last,) = read_cursor(_CHALLENGES, after)
        return await store.read(
            lambda transaction: level_response(
                _CHALLENGES,
                Page[ChallengeWanted],
                challenges.page(transaction, site, after=last, limit=limit, known=known),
            )
        )

    @router.put("/{site}/{token}", status_code=status.HTTP_204_NO_CONTENT)
    async def show_challenge(site: _Site, token: _Token, order: ChallengeOrder, _: IssuerService) -> None:
        """Have a site show the answer to a challenge; the same again is no error. 409 where its syncer is too old,
        429 where it shows too many.
        """
        await challenges.show(site, token, order)

    @router.get("/{site}/{token}")
    async def challenge(site: _Site, token: _Token, _: IssuerService) -> ChallengeState:
        """Whether the site shows it, as its syncer said last."""
        return await challenges.state(site, token)

    @router.delete("/{site}/{token}", status_code=status.HTTP_204_NO_CONTENT)
    async def remove_challenge(site: _Site, token: _Token, _: IssuerService) -> None:
        """Have a site show it no more; 404 where it doesn't."""
        await challenges.remove(site, token)

    return router
