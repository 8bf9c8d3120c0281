"""Tokens: how long one lives, whether it still opens anything, and who it speaks for."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from certcore.api import Role
from certcore.tokens import SERVICE_ROLES, TokenKind, TokenOrder
from registry.domain.access import Principal

__all__ = [
    "OVERLAP",
    "Token",
    "Unfit",
    "fault_of",
    "holds_admin",
    "kind_of",
    "life_of",
    "ordered",
    "public_id",
    "rotated",
    "worth_noting",
]

OVERLAP: Final = timedelta(hours=1)
"""So long the old token still works beside the one that it was rotated to."""
_USUAL: Final = timedelta(days=90)
_OF_SERVICES: Final = timedelta(days=366)
_NOTED: Final = timedelta(hours=1)


class Unfit(StrEnum):
    """Why a token opens nothing."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True)
class Token:
    """A token without its secret, of which only the hash is stored. `principal` is who calls with it."""

    principal: Principal
    name: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    @property
    def id(self) -> str:
        return self.principal.token_id


def public_id(sha256: str) -> str:
    """What a token is called by where it can be seen; nothing leads from it to the token."""
    return hashlib.sha256(f"certbus token {sha256}".encode()).hexdigest()[:32]


def fault_of(token: Token, now: datetime) -> Unfit | None:
    """Why it opens nothing; None where it does."""
    if token.revoked_at is not None:
        return Unfit.REVOKED
    if token.expires_at is not None and token.expires_at <= now:
        return Unfit.EXPIRED
    return None


def worth_noting(token: Token, now: datetime) -> bool:
    """Whether its use now is to be stored: once an hour is often enough."""
    return token.last_used_at is None or now - token.last_used_at >= _NOTED


def kind_of(order: TokenOrder) -> TokenKind:
    """The kind that was asked for, or that its roles lead to."""
    if order.kind is not None:
        return TokenKind(order.kind)
    return TokenKind.PERSON if SERVICE_ROLES.isdisjoint(order.roles) else TokenKind.SERVICE


def life_of(order: TokenOrder) -> timedelta | None:
    """How long the token lives; None without an end."""
    if order.endless:
        return None
    if order.days is not None:
        return timedelta(days=order.days)
    return _OF_SERVICES if kind_of(order) is TokenKind.SERVICE else _USUAL


def ordered(order: TokenOrder, *, maker: Principal, chain: Collection[str], now: datetime) -> Token:
    """The token that is made; `chain` are the makers of its maker, see `Tokens.chain`."""
    life = life_of(order)
    principal = Principal(
        order.subject,
        order.owner,
        frozenset(order.roles),
        order.site,
        order.service,
        kind=kind_of(order),
        made_by=_made_by(order.subject, maker, chain),
    )
    return Token(principal, order.name or order.subject, now, now + life if life is not None else None)


def rotated(token: Token, *, by: Principal, chain: Collection[str], now: datetime) -> tuple[Token, Token]:
    """The token that takes its place, and the old one, which ends soon.

    Whoever rotates their own gets no longer life by it: that is an admin's to give, who then counts among its makers.
    """
    owner = token.principal
    own = by.subject == owner.subject
    expires_at = token.expires_at
    if expires_at is not None and not own:
        expires_at = now + (expires_at - token.created_at)
    made_by = owner.made_by if own else tuple(sorted({*owner.made_by, *_made_by(owner.subject, by, chain)}))
    fresh = Token(replace(owner, made_by=made_by, token_id=""), token.name, now, expires_at)
    ends = now + OVERLAP
    old = replace(token, expires_at=ends if token.expires_at is None else min(token.expires_at, ends))
    return fresh, old


def holds_admin(token: Token, now: datetime) -> bool:
    """Whether tokens can still be made with it when those that were just rotated have ended."""
    lasts = token.expires_at is None or token.expires_at > now + OVERLAP
    return Role.ADMIN in token.principal.roles and token.revoked_at is None and lasts


def _made_by(subject: str, maker: Principal, chain: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted({maker.subject, *maker.made_by, *chain} - {subject}))
