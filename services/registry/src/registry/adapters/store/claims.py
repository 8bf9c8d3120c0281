"""Rows of claims: which certificate has a place that only one may have."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, and_, bindparam, delete, insert

from certcore.targets import Claim
from certkit.prepared import Prepared
from registry.adapters import tables
from registry.adapters.store.statements import OfIds
from registry.domain.certificate import ENDED_STATES
from registry.domain.claim import Held, HeldName
from registry.domain.facts import FactKind

__all__ = ["Claims"]

_AT_ONCE: Final = 500
_CLAIM: Final = tables.claim
_FACT: Final = tables.certificate_fact
_ROW: Final = tables.certificate
_ADD: Final = Prepared(insert(_CLAIM))
_HELD: Final = OfIds(
    (_CLAIM.c.key, _CLAIM.c.part, _ROW.c.name, _ROW.c.owner),
    _CLAIM.c.key,
    _CLAIM.c.part,
    among=_CLAIM.join(_ROW, _ROW.c.id == _CLAIM.c.certificate_id),
)
_NAMES: Final = OfIds(
    (_FACT.c.value, _ROW.c.name, _ROW.c.owner),
    _FACT.c.value,
    _ROW.c.name,
    among=_FACT.join(_ROW, _ROW.c.name == _FACT.c.name),
    such=and_(
        _FACT.c.kind == FactKind.DNS.value,
        _ROW.c.owner != bindparam("but"),
        *(_ROW.c.state != state.value for state in sorted(ENDED_STATES)),
    ),
)


class Claims:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, certificate_id: str, claims: Iterable[Claim]) -> None:
        rows = ({"key": item.key, "part": item.part, "certificate_id": certificate_id} for item in set(claims))
        _ADD.change_all(self._connection, rows)

    def add_free(self, certificate_id: str, claims: Sequence[Claim]) -> None:
        """As `add`, without what another certificate has already."""
        taken = {item.claim for item in self.held(claims)}
        self.add(certificate_id, [item for item in claims if item not in taken])

    def held(self, claims: Sequence[Claim]) -> list[Held]:
        """What is held already of the keys of these claims."""
        keys = sorted({item.key for item in claims})
        found: list[Held] = []
        for first in range(0, len(keys), _AT_ONCE):
            rows = _HELD.rows(self._connection, keys[first : first + _AT_ONCE])
            found += [Held(Claim(item.key, item.part), item.name, item.owner) for item in rows]
        return found

    def names_held(self, names: Collection[str], *, but: str) -> list[HeldName]:
        """Which of the DNS names other teams than one have managed certificates for."""
        rows = _NAMES.rows(self._connection, sorted(names), {"but": but})
        return [HeldName(item.value, item.name, item.owner) for item in rows]

    def release(self, certificate_id: str) -> None:
        self._connection.execute(delete(tables.claim).where(tables.claim.c.certificate_id == certificate_id))
