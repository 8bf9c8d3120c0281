"""The record of every order that was ever opened at a CA: it outlives its job."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, bindparam, insert, select, update

from certkit.prepared import Prepared
from issuer.adapters.journal_rows import job_id_of, named, revocation_of, revocation_row
from issuer.adapters.tables import acme_order, job
from issuer.domain.job import Job
from issuer.domain.order_changes import Ended, FinalizeSent, Opened, Revoked, order_changes
from issuer.domain.order_record import OrderRecord, RecordedState

__all__ = ["close_order", "orphans", "record_changes"]

_AT_MOST: Final = 200
_IS_ORDER: Final = and_(
    acme_order.c.url == bindparam("of_url"),
    acme_order.c.certificate_id == bindparam("of_certificate"),
    acme_order.c.revision == bindparam("of_revision"),
    acme_order.c.variant == bindparam("of_variant"),
)
_OPENED: Final = Prepared(insert(acme_order))
_THIS: Final = update(acme_order).where(_IS_ORDER)
_UPDATE: Final = Prepared(_THIS)
_END: Final = Prepared(_THIS.where(acme_order.c.state == RecordedState.OPEN))
_CLOSE: Final = Prepared(_THIS.where(acme_order.c.state == RecordedState.ABANDONED))
_ORPHANS: Final = (
    select(acme_order)
    .where(acme_order.c.state == RecordedState.ABANDONED)
    .order_by(acme_order.c.ended_at)
    .limit(_AT_MOST)
)
_OPEN: Final = select(acme_order.c.url, acme_order.c.ca).where(acme_order.c.state == RecordedState.OPEN)
_NAMES: Final = select(acme_order.c.ca, acme_order.c.url, acme_order.c.state, job.c.issue_order).join(
    job,
    and_(
        job.c.certificate_id == acme_order.c.certificate_id,
        job.c.revision == acme_order.c.revision,
        job.c.variant == acme_order.c.variant,
    ),
)


def record_changes(connection: Connection, before: Job, after: Job, *, account_url: str, now: datetime) -> None:
    """Write what a step of the job means for its order; `account_url` is whose an order is that it opened."""
    of_job = named(after.id)
    for change in order_changes(before, after):
        of_order = {**of_job, "of_url": change.url}
        match change:
            case Opened(url, sent):
                opened = {
                    "ca": after.ca or "",
                    "account_url": account_url,
                    "state": RecordedState.OPEN,
                    "opened_at": now,
                    "finalize_sent_at": sent,
                    "ended_at": None,
                }
                # Some CAs give an order that was given up to whoever asks for the same names again.
                if not _UPDATE.change(connection, {**of_order, **opened}):
                    identity = {"certificate_id": after.id.certificate_id, "variant": after.id.variant}
                    _OPENED.change(connection, {"url": url, "revision": after.id.revision, **identity, **opened})
            case FinalizeSent(_, at):
                _UPDATE.change(connection, {**of_order, "finalize_sent_at": at})
            case Ended(_, state):
                _END.change(connection, {**of_order, "state": state, "ended_at": now})
            case Revoked(_, revocation):
                _UPDATE.change(connection, {**of_order, **revocation_row(revocation)})


def orphans(connection: Connection) -> Sequence[OrderRecord]:
    """Orders that were given up and are not closed, the oldest first. One is left out as long as another order is
    open at its CA that it shares a name with: the CA may have given both the same authorization.
    """
    found = connection.execute(_ORPHANS).all()
    if not found:
        return []
    open_now = connection.execute(_OPEN).all()
    in_use = {row.url for row in open_now}
    candidates = [row for row in found if row.url not in in_use]
    cas = {row.ca for row in candidates} & {row.ca for row in open_now}
    names = _names(connection, cas)
    return [_record_of(row) for row in candidates if row.ca not in cas or not names.shared(row)]


def close_order(connection: Connection, record: OrderRecord) -> None:
    _CLOSE.change(connection, {**named(record.job), "of_url": record.url, "state": RecordedState.CLOSED})


class _Names:
    """The names of the orders at some CAs, by CA: of those that are open, and of each that was given up."""

    def __init__(self) -> None:
        self.open: dict[str, set[str]] = {}
        self.given_up: dict[tuple[str, str], set[str]] = {}

    def shared(self, row: Row[Any]) -> bool:
        mine = self.given_up.get((row.ca, row.url), set())
        return bool(mine & self.open.get(row.ca, set()))


def _names(connection: Connection, cas: Collection[str]) -> _Names:
    names = _Names()
    if not cas:
        return names
    wanted = _NAMES.where(
        acme_order.c.ca.in_(cas), acme_order.c.state.in_((RecordedState.OPEN, RecordedState.ABANDONED))
    )
    for row in connection.execute(wanted):
        mine = _identifiers(row.issue_order)
        if row.state == RecordedState.OPEN:
            names.open.setdefault(row.ca, set()).update(mine)
        else:
            names.given_up.setdefault((row.ca, row.url), set()).update(mine)
    return names


def _identifiers(issue_order: object) -> set[str]:
    """What authorizations are for: that of a wildcard is for the name below it. None of a row that can't be read."""
    names = issue_order.get("dns_names", ()) if isinstance(issue_order, dict) else ()
    return {str(name).removeprefix("*.") for name in names}


def _record_of(row: Row[Any]) -> OrderRecord:
    return OrderRecord(
        url=row.url,
        job=job_id_of(row),
        ca=row.ca,
        account_url=row.account_url,
        state=RecordedState(row.state),
        opened_at=row.opened_at,
        finalize_sent_at=row.finalize_sent_at,
        ended_at=row.ended_at,
        revocation=revocation_of(row),
    )
