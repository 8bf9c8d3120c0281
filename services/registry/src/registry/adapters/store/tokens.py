"""Rows of tokens, which are stored by their hash only."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, bindparam, delete, insert, literal, or_, select, tuple_, update

from certcore.api import Role
from certcore.tokens import TokenKind
from certkit.database import UtcDateTime
from certkit.prepared import Prepared
from registry.adapters import tables
from registry.adapters.store.statements import known_or_text
from registry.domain.access import Party, Principal
from registry.domain.token import Token, fault_of, holds_admin, public_id

__all__ = ["Tokens"]

_ROW: Final = tables.token
_BY_HASH: Final = Prepared(select(_ROW).where(_ROW.c.sha256 == bindparam("sha256")))
_USED: Final = Prepared(
    update(_ROW)
    .where(
        _ROW.c.sha256 == bindparam("key"),
        or_(_ROW.c.last_used_at.is_(None), _ROW.c.last_used_at < bindparam("now", type_=UtcDateTime)),
    )
    .values(last_used_at=bindparam("now", type_=UtcDateTime))
)


class _Told(NamedTuple):
    made_by: frozenset[str]
    also: frozenset[str]


class Tokens:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self,
        sha256: str,
        principal: Principal,
        *,
        now: datetime,
        expires_at: datetime | None = None,
        name: str | None = None,
    ) -> Token:
        """Store a token by its hash; returns it with its id."""
        token = Token(
            replace(principal, token_id=public_id(sha256)), name or principal.subject, now, expires_at=expires_at
        )
        principal = token.principal
        self._connection.execute(
            insert(_ROW).values(
                sha256=sha256,
                id=token.id,
                name=token.name,
                issuer=principal.issuer,
                kind=principal.kind,
                subject=principal.subject,
                owner=principal.owner,
                roles=sorted(role.value for role in principal.roles),
                site=principal.site,
                service=principal.service,
                made_by=list(principal.made_by),
                groups=sorted(principal.groups) or None,
                also=sorted(principal.also) or None,
                created_at=now,
                expires_at=expires_at,
            )
        )
        return token

    def find(self, sha256: str) -> Token | None:
        """The token with this hash, also one that has ended."""
        found = next(iter(_BY_HASH.rows(self._connection, {"sha256": sha256})), None)
        return _token(found) if found is not None else None

    def principal(self, sha256: str, now: datetime) -> Principal | None:
        """Who a token belongs to; None where it opens nothing."""
        token = self.find(sha256)
        return token.principal if token is not None and fault_of(token, now) is None else None

    def get(self, token_id: str) -> Token | None:
        """The token with this public id, also one that has ended."""
        return self._one(select(_ROW).where(_ROW.c.id == token_id))

    def hold(self, token_id: str) -> Token | None:
        """Likewise, to change it: nobody else does before the end of the transaction."""
        return self._one(select(_ROW).where(_ROW.c.id == token_id).with_for_update())

    def _one(self, query: Select[Any]) -> Token | None:
        found = self._connection.execute(query).one_or_none()
        return _token(found) if found is not None else None

    def page(
        self,
        *,
        now: datetime,
        limit: int,
        of: Principal | None = None,
        ended: bool = False,
        after: tuple[datetime, str] | None = None,
    ) -> list[Token]:
        """Newest first, those after one with this instant and id; `of` whom alone, and whether with those that have
        ended.
        """
        place = (_ROW.c.created_at, _ROW.c.id)
        query = select(_ROW).order_by(*(column.desc() for column in place)).limit(limit)
        if after is not None:
            instant, token_id = after
            query = query.where(tuple_(*place) < tuple_(literal(instant, UtcDateTime), token_id))
        if of is not None and of.kind is TokenKind.SESSION:
            query = query.where(_ROW.c.id == of.token_id)
        elif of is not None:
            query = query.where(
                _ROW.c.subject == of.subject, _ROW.c.issuer == of.issuer, _ROW.c.kind != TokenKind.SESSION
            )
        if not ended:
            query = query.where(
                _ROW.c.revoked_at.is_(None), or_(_ROW.c.expires_at.is_(None), _ROW.c.expires_at > now)
            )
        return [_token(found) for found in self._connection.execute(query)]

    def party(self, subject: str) -> Party:
        """The subject with its other names, and with who made its tokens, and who made theirs, and so on; tokens that
        have ended count too.
        """
        also = self._told({subject}).also - {subject}
        found: set[str] = set()
        asked = frozenset({subject, *also})
        while asked:
            told = self._told(asked)
            # Whoever made one may have made it under another name.
            asked = (told.made_by | (told.also - also)) - found - {subject}
            found |= asked
        return Party(subject, frozenset(found), also)

    def _told(self, subjects: Collection[str]) -> _Told:
        query = select(_ROW.c.made_by, _ROW.c.also).where(_ROW.c.subject.in_(sorted(subjects)))
        rows = self._connection.execute(query).all()
        return _Told(
            frozenset(name for row in rows for name in row.made_by or ()),
            frozenset(name for row in rows for name in row.also or ()),
        )

    def admins(self, now: datetime) -> list[Token]:
        """Tokens by which others can be made, locked so that no two of them end each other."""
        query = (
            select(_ROW)
            .where(
                _ROW.c.kind == TokenKind.PERSON,
                _ROW.c.revoked_at.is_(None),
                or_(_ROW.c.expires_at.is_(None), _ROW.c.expires_at > now),
            )
            .order_by(_ROW.c.sha256)
            .with_for_update()
        )
        return [token for token in map(_token, self._connection.execute(query)) if holds_admin(token, now)]

    def end(self, token: Token) -> None:
        """Store when and by whom it ends."""
        self._connection.execute(
            update(_ROW)
            .where(_ROW.c.id == token.id)
            .values(expires_at=token.expires_at, revoked_at=token.revoked_at, revoked_by=token.revoked_by)
        )

    def used(self, last: Mapping[str, datetime]) -> None:
        """Note when tokens were used last, by their hashes."""
        _USED.change_all(self._connection, ({"key": sha256, "now": now} for sha256, now in last.items()))

    def prune_sessions(self, before: datetime, most: int) -> int:
        """Forget pages that were open until then: they made nothing, and nobody asks who made them."""
        old = select(_ROW.c.sha256).where(_ROW.c.kind == TokenKind.SESSION, _ROW.c.expires_at < before).limit(most)
        return self._connection.execute(delete(_ROW).where(_ROW.c.sha256.in_(old.scalar_subquery()))).rowcount


def _token(row: Any) -> Token:
    principal = Principal(
        row.subject,
        row.owner,
        _roles(row.roles),
        row.site,
        row.service,
        issuer=row.issuer,
        kind=known_or_text(TokenKind, row.kind),
        made_by=tuple(row.made_by or ()),
        token_id=row.id,
        groups=frozenset(row.groups or ()),
        also=frozenset(row.also or ()),
    )
    return Token(
        principal, row.name, row.created_at, row.expires_at, row.last_used_at, row.revoked_at, row.revoked_by
    )


def _roles(stored: Collection[str] | None) -> frozenset[Role]:
    # A role that only a newer version knows lets nobody do anything here.
    return frozenset(role for role in Role if role.value in (stored or ()))
