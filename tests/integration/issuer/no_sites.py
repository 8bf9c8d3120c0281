from certcore.challenges import ChallengeOrder, ChallengeState
from certcore.errors import PermanentError

__all__ = ["NoSites"]


class NoSites:
    """A registry that knows no site."""

    async def show_challenge(self, site: str, token: str, order: ChallengeOrder) -> None:  # noqa: ARG002
        raise PermanentError(f"there is no site {site}")

    async def challenge(self, site: str, token: str) -> ChallengeState | None:  # noqa: ARG002
        return None

    async def remove_challenge(self, site: str, token: str) -> None:
        pass
