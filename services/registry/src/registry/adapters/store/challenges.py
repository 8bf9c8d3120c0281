"""Rows of the answers to challenges that sites show."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, select

from certcore.challenges import ChallengeAction
from certkit.upsert import put
from registry.adapters.store.statements import known_or_text
from registry.adapters.tables import challenge
from registry.domain.challenge import Challenge

__all__ = ["Challenges"]


class Challenges:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, site: str, token: str) -> Challenge | None:
        row = challenge
        found = self._read(select(row).where(row.c.site == site, row.c.token == token))
        return found[0] if found else None

    def save(self, item: Challenge) -> None:
        put(self._connection, challenge, asdict(item), ("site", "token"))

    def drop(self, site: str, token: str) -> None:
        self._connection.execute(delete(challenge).where(challenge.c.site == site, challenge.c.token == token))

    def slots(self, site: str) -> frozenset[int]:
        """Those in which the site may still show something."""
        return frozenset(self._connection.execute(select(challenge.c.slot).where(challenge.c.site == site)).scalars())

    def page(self, site: str, *, after: str, limit: int) -> list[Challenge]:
        """Those of a site by token, after one."""
        row = challenge
        query = select(row).where(row.c.site == site, row.c.token > after)
        return self._read(query.order_by(row.c.token).limit(limit))

    def ended(self, now: datetime, *, limit: int) -> list[Challenge]:
        """Those that are shown and over by time, oldest first."""
        row = challenge
        over = (row.c.expires_at <= now, row.c.action == ChallengeAction.SHOW)
        return self._read(select(row).where(*over).order_by(row.c.expires_at).limit(limit))

    def over(self, now: datetime) -> bool:
        """Whether any is over by time."""
        query = select(challenge.c.token).where(challenge.c.expires_at <= now).limit(1)
        return self._connection.execute(query).first() is not None

    def drop_ended(self, before: datetime) -> int:
        """Forget those that were to be removed and were over long ago; returns how many that are."""
        row = challenge
        over = (row.c.expires_at <= before, row.c.action != ChallengeAction.SHOW)
        return self._connection.execute(delete(row).where(*over)).rowcount

    def _read(self, query: Select[Any]) -> list[Challenge]:
        found: list[Row[Any]] = list(self._connection.execute(query))
        return [
            Challenge(**{**item._asdict(), "action": known_or_text(ChallengeAction, item.action)}) for item in found
        ]
