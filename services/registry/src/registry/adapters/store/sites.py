"""Rows of sites and their recipients of sealed keys. The hub is shown as one that has recipients only."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from certcore.events import Recipient
from certcore.identities import HUB, recipient_name
from certkit.prepared import Prepared
from certkit.upsert import put
from registry.adapters import tables
from registry.adapters.store.statements import exists
from registry.domain.site import Site

__all__ = ["Sites"]


_NAMES: Final = Prepared(select(tables.site.c.name))
_RECIPIENTS: Final = Prepared(select(tables.recipient).order_by(tables.recipient.c.name))


class Sites:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def enrol(self, name: str, recipients: Mapping[str, str], now: datetime) -> None:
        """Add a place or the services of one that is there; `recipients` maps service to public key."""
        if name != HUB and not exists(self._connection, tables.site, {"name": name}):
            self._connection.execute(insert(tables.site).values(name=name, enrolled_at=now))
        for service, public_key in recipients.items():
            values = {
                "name": recipient_name(name, service),
                "place": name,
                "service": service,
                "public_key": public_key,
            }
            put(self._connection, tables.recipient, values, ("name",))

    def hold(self, names: Collection[str]) -> None:
        """Nobody replaces the keys of these recipients before the end of the transaction."""
        if self._connection.dialect.name == "sqlite":
            return
        row = tables.recipient
        self._connection.execute(
            select(row.c.name).where(row.c.name.in_(names)).order_by(row.c.name).with_for_update(read=True)
        )

    def all(self) -> list[Site]:
        """By name, the hub among them where it has recipients."""
        names = {found.name for found in _NAMES.rows(self._connection)}
        enrolled: dict[str, list[Any]] = defaultdict(list)
        for found in _RECIPIENTS.rows(self._connection):
            enrolled[found.place].append(found)
        return [
            Site(
                name=place,
                recipients=tuple(
                    Recipient(name=found.name, public_key=found.public_key) for found in enrolled[place]
                ),
                services=tuple(sorted(found.service for found in enrolled[place])),
            )
            for place in sorted({*names, *enrolled})
        ]
