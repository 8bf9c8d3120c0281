"""Answers to http-01 challenges that a site shows for the issuer: what the registry keeps of each, and decides."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from certcore.challenges import CHALLENGES_SINCE, ChallengeAction, ChallengeOrder, ChallengeState
from certcore.events import ChallengeShown, ChallengeWanted
from certcore.rejection import RejectedError, Rejection
from registry.domain.errors import ConflictError, TooManyError
from registry.domain.site import ServiceSeen, is_silent

__all__ = [
    "AT_ONCE",
    "REMEMBERED",
    "Challenge",
    "ask",
    "check_reads_challenges",
    "free_slot",
    "hear",
    "removed",
    "state_of",
    "wanted",
]

AT_ONCE: Final = 1000
"""Of one site, those that are still to be removed among them."""

REMEMBERED: Final = timedelta(days=7)
"""So long after its end a site that says nothing is told to remove it. It also does so by itself."""

_LONGEST: Final = timedelta(days=7)
_AGAIN: Final = timedelta(seconds=30)
_TOLD: Final = 500


@dataclass(frozen=True)
class Challenge:
    """`shown_at` is since when its site shows it, `looked_at` when the site said so last, or why not in `detail`."""

    site: str
    token: str
    host: str
    key_authorization: str
    expires_at: datetime
    action: ChallengeAction
    slot: int
    shown_at: datetime | None = None
    looked_at: datetime | None = None
    detail: str = ""


def check_reads_challenges(seen: ServiceSeen | None, site: str) -> None:
    """Check that a site's syncer reads what it would be told. One that was never heard is told: it may be on its way.

    Raises:
        ConflictError: it is too old, and would set the event aside.
    """
    if seen is not None and (seen.contract or 1) < CHALLENGES_SINCE:
        raise ConflictError(
            f"the syncer of {site} ({seen.version or 'of unknown version'}) is too old to show challenges: it reads"
            f" contract level {seen.contract or 1}, and {CHALLENGES_SINCE} is needed. Update it, or prove the name by"
            " another solver"
        )


def free_slot(taken: Collection[int], site: str) -> int:
    """
    Raises:
        TooManyError: the site shows as many as it may.
    """
    slot = next((slot for slot in range(AT_ONCE) if slot not in taken), None)
    if slot is None:
        raise TooManyError(f"{site} shows {AT_ONCE} challenges already, or is to remove them", retry_after=_AGAIN)
    return slot


def ask(
    before: Challenge | None, order: ChallengeOrder, *, site: str, token: str, slot: int, now: datetime
) -> Challenge:
    """What is wanted after an order. The same order again changes nothing but the end.

    Raises:
        RejectedError: it ends too soon or too late, or the answer is another token's.
        ConflictError: the token stands for another answer there.
    """
    if not now < order.expires_at <= now + _LONGEST:
        message = f"must lie ahead, by {_LONGEST.days} days at most"
        raise RejectedError([Rejection(field="expires_at", message=message)])
    if not order.key_authorization.startswith(f"{token}."):
        message = "must be that of the token: the token, a dot, and the thumbprint of the account's key"
        raise RejectedError([Rejection(field="key_authorization", message=message)])
    if before is None:
        return Challenge(
            site=site,
            token=token,
            host=order.host,
            key_authorization=order.key_authorization,
            expires_at=order.expires_at,
            action=ChallengeAction.SHOW,
            slot=slot,
        )
    if (before.host, before.key_authorization) != (order.host, order.key_authorization):
        raise ConflictError(f"{site} has another answer for this token, for {before.host}: remove that one first")
    if before.action is ChallengeAction.SHOW:
        return replace(before, expires_at=max(before.expires_at, order.expires_at))
    return replace(
        before,
        expires_at=order.expires_at,
        action=ChallengeAction.SHOW,
        shown_at=None,
        looked_at=None,
        detail="",
    )


def removed(before: Challenge) -> Challenge:
    return replace(before, action=ChallengeAction.REMOVE)


def hear(before: Challenge, event: ChallengeShown, *, now: datetime) -> Challenge | None:
    """What is known after a report; None where it is over. What answers an earlier order changes nothing."""
    if (event.host, event.action) != (before.host, before.action):
        return before
    if before.action is not ChallengeAction.SHOW and not event.shown:
        return None
    since = before.shown_at or now
    return replace(before, shown_at=since if event.shown else None, looked_at=now, detail=event.detail[:_TOLD])


def wanted(challenge: Challenge) -> ChallengeWanted:
    return ChallengeWanted(
        challenge_token=challenge.token,
        host=challenge.host,
        key_authorization=challenge.key_authorization,
        expires_at=challenge.expires_at,
        action=challenge.action,
    )


def state_of(challenge: Challenge, seen: ServiceSeen | None, *, now: datetime) -> ChallengeState:
    """As the issuer is answered. A site whose syncer is silent is told, whatever it said before."""
    shown = challenge.shown_at is not None
    detail = challenge.detail
    if not shown and seen is not None and is_silent(seen, now=now):
        last = f" since {seen.last_heartbeat:%Y-%m-%dT%H:%M:%SZ}" if seen.last_heartbeat is not None else ""
        detail = f"its syncer is silent{last}"
    elif not shown and not detail:
        detail = "its syncer has not said anything of it yet" if seen is not None else "its syncer was never heard"
    return ChallengeState(shown=shown, detail=detail, looked_at=challenge.looked_at, expires_at=challenge.expires_at)
