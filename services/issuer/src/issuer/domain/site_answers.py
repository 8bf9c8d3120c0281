"""Which site doesn't answer a CA yet, in words, and when it is worth another look."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from certcore.challenges import ChallengeState
from issuer.domain.challenge import Propagation
from issuer.domain.propagation import Lack, propagation

__all__ = ["SiteLack", "at_sites", "runs_out"]


@dataclass(frozen=True)
class SiteLack:
    """`problem` is what the site says, or is said of it."""

    site: str
    problem: str
    name: str


def at_sites(lacks: Collection[SiteLack], *, looks: int) -> Propagation:
    """Seen where every site answers. `looks` is how often in vain the sites were looked at before."""
    told = [Lack("", lack.site, f"doesn't answer yet ({lack.problem}) for", lack.name) for lack in lacks]
    return propagation(told, looks=looks)


def runs_out(state: ChallengeState, *, shown_for: timedelta, now: datetime) -> bool:
    """Whether a CA that looks late might find it gone: more than half of its time is over."""
    return state.expires_at - now < shown_for / 2
