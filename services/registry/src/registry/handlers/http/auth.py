"""Who calls: by a bearer token, or by the cookie that a one-time code for the page was exchanged for."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import Depends, Request

from certcore.api import Role
from certcore.audit import Way
from certcore.clock import Clock
from certcore.tokens import TokenKind
from registry.adapters.store import Store, Transaction
from registry.domain.access import LOCAL, LOOKING, PAGE, Principal, require, require_everywhere, require_person
from registry.domain.token import Token, Unfit, fault_of
from registry.handlers.http.cookies import session_in
from registry.handlers.http.limits import Limits
from registry.handlers.http.problems import UnauthorizedError
from registry.handlers.logins import Logins
from registry.handlers.rights import Rights

__all__ = ["Authenticator", "Caller", "caller_of", "hash_token", "new_token"]

_SESSION: Final = timedelta(hours=12)
_CODE: Final = timedelta(minutes=30)


def new_token() -> str:
    """256 random bits: too many to guess, so a plain hash of it is enough to store."""
    return f"cb_{secrets.token_urlsafe(32)}"


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


_ASK: Final = {
    Unfit.UNKNOWN: "send a valid token: Authorization: Bearer …",
    Unfit.EXPIRED: "the token has expired: ask an admin for another one",
    Unfit.REVOKED: "the token was revoked",
}


_SESSION_ENDED: Final = "the session has ended: sign in anew"


class Authenticator:
    """Of tokens only the hash is stored. One-time codes are kept in memory for half an hour."""

    def __init__(self, *, store: Store, clock: Clock, logins: Logins, rights: Rights) -> None:
        self._store = store
        self._clock = clock
        self._logins = logins
        self._rights = rights
        self._codes: dict[str, tuple[datetime, Principal]] = {}

    async def caller(self, request: Request) -> Principal:
        """The caller of a request.

        Raises:
            UnauthorizedError: its token or cookie is missing, or opens nothing.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            # The cookie allows reading only: a form of another origin can change nothing with it.
            token = session_in(request) if request.method == "GET" else ""
        return await self._whose(token, request)

    async def page(self, request: Request) -> Principal:
        """Whose page it is, for the one act of a page: to end itself. Its cookie comes from no other origin.

        Raises:
            UnauthorizedError: as `caller`.
        """
        return await self._whose(session_in(request), request)

    async def _whose(self, token: str, request: Request) -> Principal:
        if not token:
            raise UnauthorizedError(_ASK[Unfit.UNKNOWN])
        sha256, now = hash_token(token), self._clock()

        def work(transaction: Transaction) -> tuple[Token | None, Principal | None]:
            found = transaction.tokens.find(sha256)
            return found, self._rights.of(transaction, found.principal) if found is not None else None

        found, caller = await self._store.read(work)
        unfit = fault_of(found, now) if found is not None and caller is not None else Unfit.UNKNOWN
        if found is None or caller is None or unfit is not None:
            unfit = unfit or Unfit.UNKNOWN
            await self.failed(request, unfit)
            ended = found is not None and found.principal.issuer != LOCAL and unfit is Unfit.EXPIRED
            raise UnauthorizedError(_SESSION_ENDED if ended else _ASK[unfit])
        self._logins.succeeded(sha256, found, now)
        return caller

    async def failed(self, request: Request, reason: str) -> None:
        """Count a failed login, and return when it may be answered.

        Raises:
            TooManyError: so many wait that this one is answered at once.
        """
        await self._logins.failed(_address(request), reason)

    async def still_opens(self, caller: Principal) -> bool:
        """Whether the caller's token still opens the same, for an answer that goes on for long."""

        def work(transaction: Transaction) -> bool:
            found = transaction.tokens.get(caller.token_id)
            if found is None or fault_of(found, self._clock()) is not None:
                return False
            return self._rights.of(transaction, found.principal) == caller

        return await self._store.read(work)

    def new_code(self, maker: Principal) -> str:
        """A code for one sign-in to the page."""
        code, now = secrets.token_urlsafe(24), self._clock()
        self._codes = {key: kept for key, kept in self._codes.items() if kept[0] > now}
        self._codes[hash_token(code)] = now + _CODE, maker
        return code

    async def redeem(self, code: str, request: Request) -> str:
        """The session that a code opens, once.

        Raises:
            UnauthorizedError: the code is unknown, used or too old.
        """
        now = self._clock()
        expires, maker = self._codes.pop(hash_token(code), (now, None))
        if expires <= now or maker is None:
            await self.failed(request, "code")
            raise UnauthorizedError("this sign-in link was used or is too old: make a new one")
        session = new_token()
        page = Principal(
            PAGE,
            PAGE,
            frozenset({Role.VIEWER, Role.AUDITOR}),
            kind=TokenKind.SESSION,
            made_by=(maker.subject,),
        )

        def work(transaction: Transaction) -> None:
            transaction.tokens.add(hash_token(session), page, now=now, expires_at=now + _SESSION)
            transaction.audit.note(maker.subject, "sign in", PAGE, "by a one-time code", now, way=Way.TOKEN)

        await self._store.write(work)
        return session


def _address(request: Request) -> str | None:
    return request.client.host if request.client is not None else None


async def caller_of(request: Request) -> Principal:
    """The caller of a request, out of whose budget it is taken.

    Raises:
        UnauthorizedError: as `Authenticator.caller`.
        TooManyError: the budget is used up for now.
    """
    authenticator: Authenticator = request.app.state.authenticator
    limits: Limits = request.app.state.limits
    try:
        caller = await authenticator.caller(request)
    except UnauthorizedError:
        limits.failed(_address(request))
        raise
    limits.spend(caller, method=request.method, route=request.scope["route"].path)
    return caller


Caller = Annotated[Principal, Depends(caller_of)]


def having(*roles: Role) -> Callable[[Caller], Awaitable[Principal]]:
    """A dependency that lets through who has one of the roles."""

    async def check(caller: Caller) -> Principal:
        require(caller, *roles)
        return caller

    return check


def everywhere(*roles: Role) -> Callable[[Caller], Awaitable[Principal]]:
    """Likewise for what belongs to no team: who has the role for some teams alone doesn't get through."""

    async def check(caller: Caller) -> Principal:
        require_everywhere(caller, *roles)
        return caller

    return check


async def _approver(caller: Caller) -> Principal:
    require(caller, Role.APPROVER)
    require_person(caller)
    return caller


Viewer = Annotated[Principal, Depends(having(*sorted(LOOKING)))]
Requester = Annotated[Principal, Depends(having(Role.REQUESTER, Role.OPERATOR))]
Auditor = Annotated[Principal, Depends(everywhere(Role.AUDITOR))]
Approver = Annotated[Principal, Depends(_approver)]
Admin = Annotated[Principal, Depends(everywhere(Role.ADMIN))]
Operator = Annotated[Principal, Depends(everywhere(Role.OPERATOR))]
IssuerService = Annotated[Principal, Depends(having(Role.ISSUER))]
DelivererService = Annotated[Principal, Depends(having(Role.DELIVERER))]
MonitorService = Annotated[Principal, Depends(having(Role.MONITOR))]
EscrowService = Annotated[Principal, Depends(having(Role.ESCROW))]
