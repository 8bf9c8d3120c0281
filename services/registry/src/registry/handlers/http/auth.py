"""Who calls: by a bearer token, or by the cookie that a one-time code for the page was exchanged for."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import Depends, Request

from certcore.api import Role
from certcore.clock import Clock
from registry.adapters.store import Store
from registry.domain.access import Principal, require
from registry.handlers.http.problems import UnauthorizedError

__all__ = ["SESSION_COOKIE", "Authenticator", "Caller", "hash_token", "new_token"]

SESSION_COOKIE: Final = "certbus_session"
_SESSION: Final = timedelta(hours=12)
_CODE: Final = timedelta(minutes=30)


def new_token() -> str:
    """256 random bits: too many to guess, so a plain hash of it is enough to store."""
    return f"cb_{secrets.token_urlsafe(32)}"


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Authenticator:
    """Of tokens only the hash is stored. One-time codes are kept in memory for half an hour."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._codes: dict[str, datetime] = {}

    async def caller(self, request: Request) -> Principal:
        """The caller of a request.

        Raises:
            UnauthorizedError: its token or cookie is missing or unknown.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            # The cookie allows reading only: a form of another origin can change nothing with it.
            token = request.cookies.get(SESSION_COOKIE, "") if request.method == "GET" else ""
        if token:
            sha256, now = hash_token(token), self._clock()
            principal = await self._store.read(lambda transaction: transaction.tokens.principal(sha256, now))
            if principal is not None:
                return principal
        raise UnauthorizedError("send a valid token: Authorization: Bearer …")

    def new_code(self) -> str:
        """A code for one sign-in to the page."""
        code = secrets.token_urlsafe(24)
        self._codes[hash_token(code)] = self._clock() + _CODE
        return code

    async def redeem(self, code: str) -> str | None:
        """The session that a code opens, once; None for a code that is unknown, used or too old."""
        expires = self._codes.pop(hash_token(code), None)
        now = self._clock()
        if expires is None or expires <= now:
            return None
        session = new_token()
        page = Principal("page", "page", frozenset({Role.VIEWER, Role.AUDITOR}))
        await self._store.write(
            lambda transaction: transaction.tokens.add(hash_token(session), page, now=now, expires_at=now + _SESSION)
        )
        return session


async def _caller(request: Request) -> Principal:
    authenticator: Authenticator = request.app.state.authenticator
    return await authenticator.caller(request)


Caller = Annotated[Principal, Depends(_caller)]


def having(*roles: Role) -> Callable[[Caller], Awaitable[Principal]]:
    """A dependency that lets through who has one of the roles."""

    async def check(caller: Caller) -> Principal:
        require(caller, *roles)
        return caller

    return check


Viewer = Annotated[
    Principal, Depends(having(Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.AUDITOR, Role.REQUESTER))
]
Requester = Annotated[Principal, Depends(having(Role.REQUESTER, Role.OPERATOR))]
Approver = Annotated[Principal, Depends(having(Role.APPROVER))]
Auditor = Annotated[Principal, Depends(having(Role.AUDITOR, Role.OPERATOR))]
Operator = Annotated[Principal, Depends(having(Role.OPERATOR))]
IssuerService = Annotated[Principal, Depends(having(Role.ISSUER))]
DelivererService = Annotated[Principal, Depends(having(Role.DELIVERER))]
MonitorService = Annotated[Principal, Depends(having(Role.MONITOR))]
EscrowService = Annotated[Principal, Depends(having(Role.ESCROW))]
