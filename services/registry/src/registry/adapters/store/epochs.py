"""The row of the database itself: its id and epoch; and what the issuer reported in this epoch."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, func, select, update

from certcore.api import IssuedRevision
from certcore.events import RegistryAnchored
from certcore.placements import generation
from certkit.prepared import Prepared
from certkit.upsert import put
from registry.adapters import tables
from registry.adapters.store.audit import Audit
from registry.adapters.store.statements import OfIds
from registry.domain.epoch import Epoch

__all__ = ["Epochs", "ReportedRevisions"]

_KEY: Final = ("certificate_id", "revision", "variant")
_LONGEST: Final = {"certificate_id": 36, "variant": 63, "serial": 64, "fingerprint_sha256": 64}


_PRESENT: Final = Prepared(select(tables.epoch))


class Epochs:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def present(self) -> Epoch:
        (found,) = _PRESENT.rows(self._connection)
        return Epoch(**found._asdict())

    def begin(self, number: int, *, reason: str, now: datetime) -> bool:
        """Begin an epoch, and raise all generations to it; False where another replica began it before."""
        row, certificate = tables.epoch, tables.certificate
        begun = self._connection.execute(
            update(row).where(row.c.number < number).values(number=number, began_at=now, waiting=True, reason=reason)
        )
        if begun.rowcount == 0:
            return False
        floor = generation(number, 0)
        self._connection.execute(
            update(certificate).values(generation_floor=floor, version=certificate.c.version + 1)
        )
        self._connection.execute(delete(tables.reported_revision))
        return True

    def end_waiting(self, number: int) -> bool:
        """The issuer reported; False where that was known."""
        row = tables.epoch
        where = (row.c.number == number, row.c.waiting)
        return self._connection.execute(update(row).where(*where).values(waiting=False)).rowcount == 1

    def unheard(self, event_ids: Sequence[str]) -> set[str]:
        """Those of these events that are not in the log."""
        row = tables.event
        known = self._connection.execute(select(row.c.id).where(row.c.id.in_(event_ids))).scalars()
        return set(event_ids).difference(known)

    def position(self, now: datetime) -> RegistryAnchored:
        """What is anchored now."""
        present = self.present()
        return RegistryAnchored(
            database_id=present.database_id,
            epoch=present.number,
            event_sequence=self._connection.execute(select(func.max(tables.event.c.sequence))).scalar() or 0,
            audit_sequence=self._connection.execute(select(func.max(tables.audit.c.sequence))).scalar() or 0,
            anchored_at=now,
            audit_heads=tuple(Audit(self._connection).heads()),
        )


_OF: Final = OfIds(
    tuple(tables.reported_revision.c),
    tables.reported_revision.c.certificate_id,
    tables.reported_revision.c.revision,
    tables.reported_revision.c.variant,
)


class ReportedRevisions:
    """What the issuer has, as it reported after a restore: also of certificates that are unknown here."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keep(self, reported: Iterable[IssuedRevision]) -> None:
        """What no registry could have ordered is left out."""
        for item in reported:
            values = item.model_dump(exclude={"unreadable"})
            if all(len(values[name]) <= longest for name, longest in _LONGEST.items()):
                put(self._connection, tables.reported_revision, values, _KEY)

    def certificates(self, *, after: str, limit: int) -> list[str]:
        """Ids of certificates that were reported, in their own order."""
        row = tables.reported_revision
        query = select(row.c.certificate_id).where(row.c.certificate_id > after).distinct()
        return list(self._connection.execute(query.order_by(row.c.certificate_id).limit(limit)).scalars())

    def of(self, certificate_ids: Sequence[str]) -> dict[str, list[IssuedRevision]]:
        found: dict[str, list[IssuedRevision]] = defaultdict(list)
        for item in _OF.rows(self._connection, certificate_ids):
            found[item.certificate_id].append(IssuedRevision(**item._asdict()))
        return found

    def has(self, certificate_id: str, revision: int, variant: str, fingerprint_sha256: str) -> bool:
        """Whether the issuer reported this leaf."""
        return any(
            (item.revision, item.variant, item.fingerprint_sha256) == (revision, variant, fingerprint_sha256)
            for item in self.of([certificate_id])[certificate_id]
        )

    def unknown(self, *, limit: int) -> list[IssuedRevision]:
        """Those of certificates that are not here, by certificate."""
        row, certificate = tables.reported_revision, tables.certificate
        query = select(row).where(row.c.certificate_id.not_in(select(certificate.c.id))).limit(limit)
        found = self._connection.execute(query.order_by(row.c.certificate_id, row.c.revision))
        return [IssuedRevision(**item._asdict()) for item in found]
