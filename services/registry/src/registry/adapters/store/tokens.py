"""Rows of tokens, which are stored by their hash only."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, func, insert, select

from certcore.api import Role
from certkit.prepared import Prepared
from registry.adapters import tables
from registry.domain.access import Principal

__all__ = ["Tokens"]


_BY_HASH: Final = Prepared(select(tables.token).where(tables.token.c.sha256 == bindparam("sha256")))


class Tokens:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, sha256: str, principal: Principal, *, now: datetime, expires_at: datetime | None = None) -> None:
        self._connection.execute(
            insert(tables.token).values(
                sha256=sha256,
                subject=principal.subject,
                owner=principal.owner,
                roles=sorted(role.value for role in principal.roles),
                site=principal.site,
                service=principal.service,
                created_at=now,
                expires_at=expires_at,
            )
        )

    def principal(self, sha256: str, now: datetime) -> Principal | None:
        """Who a token belongs to; None where it is unknown or expired."""
        found = next(iter(_BY_HASH.rows(self._connection, {"sha256": sha256})), None)
        if found is None or (found.expires_at is not None and found.expires_at <= now):
            return None
        # A role that only a newer version knows lets nobody do anything here.
        roles = frozenset(role for role in Role if role.value in (found.roles or ()))
        return Principal(found.subject, found.owner, roles, found.site, found.service)

    def exist(self) -> bool:
        """Whether any token was ever made."""
        return (self._connection.execute(select(func.count()).select_from(tables.token))).scalar_one() > 0
