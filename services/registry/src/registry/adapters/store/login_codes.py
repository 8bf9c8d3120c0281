"""Rows of the codes by which the command gets its session, stored by their hash only."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from registry.adapters import tables
from registry.domain.identity import Identity

__all__ = ["LoginCodes"]

_ROW: Final = tables.login_code


class LoginCodes:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, sha256: str, identity: Identity, *, challenge: str, now: datetime, expires_at: datetime) -> None:
        """Store one, and forget those that nobody used."""
        self._connection.execute(delete(_ROW).where(_ROW.c.expires_at <= now))
        self._connection.execute(
            insert(_ROW).values(
                sha256=sha256,
                challenge=challenge,
                issuer=identity.issuer,
                subject=identity.subject,
                name=identity.name,
                groups=sorted(identity.groups),
                also=sorted(identity.also),
                expires_at=expires_at,
            )
        )

    def take(self, sha256: str, *, challenge: str, now: datetime) -> Identity | None:
        """Whom the code was for, once, and by the challenge that it was made with."""
        found = self._connection.execute(select(_ROW).where(_ROW.c.sha256 == sha256)).one_or_none()
        if found is None:
            return None
        gone = self._connection.execute(delete(_ROW).where(_ROW.c.sha256 == sha256)).rowcount
        if gone != 1 or found.challenge != challenge or found.expires_at <= now:
            return None
        return Identity(
            found.issuer, found.subject, found.name, frozenset(found.groups or ()), frozenset(found.also or ())
        )
