"""A sign-in of a machine without a browser (RFC 8628): how often the provider may be asked whether somebody came."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from registry.domain.id_token import LoginFault, LoginRefusedError

__all__ = ["LONGEST", "SHORTEST", "DeviceLogin", "Unready", "asked", "slowed"]

SHORTEST: Final = timedelta(seconds=1)
LONGEST: Final = timedelta(minutes=1)
_SLOWER: Final = timedelta(seconds=5)


class Unready(StrEnum):
    """Why the provider gives no token yet. `AWAY` is ours, the others are its words."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    AWAY = "away"


@dataclass(frozen=True)
class DeviceLogin:
    """`sealed` is the provider's code for the device: it opens by what the command alone has. Before `next_at` the
    provider isn't asked.
    """

    sha256: str
    sealed: str
    interval: timedelta
    next_at: datetime
    expires_at: datetime


def asked(login: DeviceLogin, now: datetime) -> DeviceLogin | None:
    """As it is once the provider is asked now; None where it is too soon.

    Raises:
        LoginRefusedError: nobody came in time.
    """
    if login.expires_at <= now:
        raise LoginRefusedError(LoginFault.CODE, "nobody signed in in time: begin anew")
    return replace(login, next_at=now + login.interval) if login.next_at <= now else None


def slowed(login: DeviceLogin, why: Unready, now: datetime) -> DeviceLogin:
    """As it is after an answer without a token: five seconds slower where the provider says so, half as often where
    it can't be asked (RFC 8628, 3.5).
    """
    match why:
        case Unready.PENDING:
            interval = login.interval
        case Unready.SLOW_DOWN:
            interval = login.interval + _SLOWER
        case Unready.AWAY:
            interval = max(login.interval, min(login.interval * 2, LONGEST))
    return replace(login, interval=interval, next_at=now + interval)
