"""Rows of claims: which certificate has a place that only one may have."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from certcore.targets import Claim
from registry.adapters import tables
from registry.domain.certificate import ENDED_STATES
from registry.domain.claim import Held, HeldName
from registry.domain.facts import FactKind

__all__ = ["Claims"]

_AT_ONCE: Final = 500


class Claims:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, certificate_id: str, claims: Iterable[Claim]) -> None:
        rows = [{"key": item.key, "part": item.part, "certificate_id": certificate_id} for item in set(claims)]
        if rows:
            self._connection.execute(insert(tables.claim), rows)

    def add_free(self, certificate_id: str, claims: Sequence[Claim]) -> None:
        """As `add`, without what another certificate has already."""
        taken = {item.claim for item in self.held(claims)}
        self.add(certificate_id, [item for item in claims if item not in taken])

    def held(self, claims: Sequence[Claim]) -> list[Held]:
        """What is held already of the keys of these claims."""
        row, certificate = tables.claim, tables.certificate
        keys = sorted({item.key for item in claims})
        query = (
            select(row.c.key, row.c.part, certificate.c.name, certificate.c.owner)
            .join(certificate, certificate.c.id == row.c.certificate_id)
            .order_by(row.c.key, row.c.part)
        )
        found: list[Held] = []
        for first in range(0, len(keys), _AT_ONCE):
            some = query.where(row.c.key.in_(keys[first : first + _AT_ONCE]))
            found += [
                Held(Claim(item.key, item.part), item.name, item.owner) for item in self._connection.execute(some)
            ]
        return found

    def names_held(self, names: Collection[str], *, but: str) -> list[HeldName]:
        """Which of the DNS names other teams than one have managed certificates for."""
        row, certificate = tables.certificate_fact, tables.certificate
        query = (
            select(row.c.value, certificate.c.name, certificate.c.owner)
            .join(certificate, certificate.c.name == row.c.name)
            .where(
                row.c.kind == FactKind.DNS.value,
                row.c.value.in_(sorted(names)),
                certificate.c.owner != but,
                certificate.c.state.not_in([state.value for state in ENDED_STATES]),
            )
            .order_by(row.c.value, certificate.c.name)
        )
        return [HeldName(found.value, found.name, found.owner) for found in self._connection.execute(query)]

    def release(self, certificate_id: str) -> None:
        self._connection.execute(delete(tables.claim).where(tables.claim.c.certificate_id == certificate_id))
