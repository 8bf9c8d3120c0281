"""What is known of each stream, by which its loss is noticed; and which events a lost one should hold again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, func, select, update

from certcore import subjects
from certcore.events import CertificateApproved, CertificateRenewalDue, CsrAccepted
from certkit.prepared import Prepared
from certkit.upsert import put
from registry.adapters import tables
from registry.domain.stream_epoch import StreamEpoch

__all__ = ["StreamEpochs"]

_ROW: Final = tables.stream_epoch
_EVENT: Final = tables.event
_REACHED: Final = Prepared(
    update(_ROW).where(_ROW.c.stream == bindparam("name"), _ROW.c.last_sequence < bindparam("sequence"))
)
_ORDERS: Final = (CertificateApproved, CertificateRenewalDue, CsrAccepted)


class StreamEpochs:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> dict[str, StreamEpoch]:
        """By stream."""
        return {found.stream: StreamEpoch(**found._asdict()) for found in self._connection.execute(select(_ROW))}

    def save(self, epoch: StreamEpoch) -> None:
        put(self._connection, _ROW, vars(epoch), ("stream",))

    def reached(self, sequences: Mapping[str, int]) -> None:
        """Streams stored messages under these sequences."""
        for stream, sequence in sequences.items():
            values = {"name": stream, "sequence": sequence, "last_sequence": sequence}
            _REACHED.change(self._connection, values)

    def newest(self, stream: str, prefix: str, *, after: str, limit: int) -> list[tuple[str, int]]:
        """Subject and sequence of the newest event a subject, of subjects with a prefix, by subject, after one."""
        query = (
            select(_EVENT.c.subject, func.max(_EVENT.c.sequence))
            .where(
                _EVENT.c.stream == stream,
                _EVENT.c.subject > max(after, prefix),
                # Subjects are ASCII: this comes after every one with the prefix.
                _EVENT.c.subject < prefix + "\x7f",
            )
            .group_by(_EVENT.c.subject)
            .order_by(_EVENT.c.subject)
            .limit(limit)
        )
        return [(subject, sequence) for subject, sequence in self._connection.execute(query)]

    def since(self, stream: str, time: datetime, *, after: int, limit: int) -> list[int]:
        """Sequences of a stream's events of a time and later, after one."""
        query = (
            select(_EVENT.c.sequence)
            .where(_EVENT.c.stream == stream, _EVENT.c.time >= time, _EVENT.c.sequence > after)
            .order_by(_EVENT.c.sequence)
            .limit(limit)
        )
        return list(self._connection.execute(query).scalars())

    def orders(self, certificate_ids: list[str]) -> list[int]:
        """Sequences of the orders of these certificates from the issuer, those of earlier revisions among them."""
        about = [subjects.event(event.type, item) for item in certificate_ids for event in _ORDERS]
        query = select(_EVENT.c.sequence).where(_EVENT.c.stream == subjects.CERTS, _EVENT.c.subject.in_(about))
        return list(self._connection.execute(query).scalars())
