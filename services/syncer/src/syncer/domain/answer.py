"""The answer to a challenge that this site shows, or shows no more: what is to be done of it, and when."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from certcore.backoff import delay_after
from certcore.challenges import ChallengeAction
from certcore.events import ChallengeShown, ChallengeWanted

__all__ = ["Answer", "Key", "Outcome", "Work", "again_at", "answer_of", "report_of", "work_on"]

_FIRST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(seconds=60)

Key = tuple[str, str]
"""Host and token."""


@dataclass(frozen=True)
class Answer:
    """What a CA is to find at `host`, under a path that ends in `token`. All three are fit: `unfit_challenge`."""

    host: str
    token: str
    key_authorization: str


class Work(StrEnum):
    SHOW = "show"
    REMOVE = "remove"
    REMOVE_ENDED = "remove_ended"
    """By its time, before anybody said so: nobody waits for a report."""


@dataclass(frozen=True)
class Outcome:
    """`shown`: it is there afterwards, as far as is known. `problem` is why it isn't as it should be."""

    shown: bool
    problem: str = ""

    def done(self, work: Work) -> bool:
        return not self.problem and self.shown is (work is Work.SHOW)


def answer_of(wanted: ChallengeWanted) -> Answer:
    return Answer(wanted.host, wanted.challenge_token, wanted.key_authorization)


def work_on(wanted: ChallengeWanted, *, now: datetime) -> Work:
    """What is to be done. A word that this version doesn't know shows nothing."""
    if wanted.action is not ChallengeAction.SHOW:
        return Work.REMOVE
    return Work.SHOW if now < wanted.expires_at else Work.REMOVE_ENDED


def again_at(
    wanted: ChallengeWanted, work: Work, outcome: Outcome, *, failures: int, jitter: float, now: datetime
) -> datetime:
    """When it is worked on again by itself: at its end, and where it failed after 1, 2, 4 … 60 seconds."""
    if outcome.done(work):
        return wanted.expires_at
    return now + delay_after(failures, jitter=jitter, first=_FIRST, longest=_LONGEST)


def report_of(wanted: ChallengeWanted, outcome: Outcome) -> ChallengeShown:
    return ChallengeShown(
        challenge_token=wanted.challenge_token,
        host=wanted.host,
        action=wanted.action,
        shown=outcome.shown,
        detail=outcome.problem,
    )
